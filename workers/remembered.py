"""What `up` remembers of the settings of a folder, so that a shell without them changes nothing.

Variables lie in `settings.json`, which only its owner can read. A secret is not among them: of it
a salted digest tells whether another one is given. While the system runs, its supervisor has the
secrets in memory; once it is down they have to be given again.
"""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path
from typing import Any

import msgspec

from pipeline.addresses import without_password
from pipeline.errors import SettingsError
from pipeline.settings import PREFIX, Settings, complete_environment, is_secret, variables
from workers.local.cluster import Cluster
from workers.local.state import write_private

_HIDDEN = "***"


class Remembered(msgspec.Struct):
    """The content of `settings.json`."""

    salt: str
    variables: dict[str, str] = {}
    secrets: dict[str, str] = {}
    """Digest by variable."""
    values: dict[str, tuple[Any, str]] = {}
    """What each setting was in the end: as it may be shown, and a digest where it is a secret."""
    infer: int = 1
    """Number of infer workers."""


def load(home: Path) -> Remembered | None:
    """What was remembered; None where there is nothing, or only that of another version."""
    try:
        return msgspec.json.decode((home / "settings.json").read_bytes(), type=Remembered)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def remember(home: Path, settings: Settings, infer: int) -> None:
    """Remember the variables of this process, what came of them, and the number of workers."""
    salt = secrets.token_hex(16)
    given = variables()
    kept = Remembered(
        salt,
        {name: value for name, value in given.items() if not is_secret(name, value)},
        {name: _digest(salt, value) for name, value in given.items() if is_secret(name, value)},
        _values(settings, salt),
        infer,
    )
    write_private(home / "settings.json", msgspec.json.format(msgspec.json.encode(kept), indent=1))


def recall(local: Cluster, kept: Remembered) -> list[str]:
    """Complete the environment of this process by what was remembered; the names of what was added.

    Raises:
        SettingsError: a secret has to be given again.
    """
    before = variables()
    running = local.recall()
    held = {name: running[name] for name in kept.secrets if name in running}
    complete_environment(kept.variables | held)
    now = variables()
    for name in kept.secrets:
        other = name.removesuffix("_FILE") if name.endswith("_FILE") else f"{name}_FILE"
        if name not in now and other not in now:
            raise SettingsError(
                f"the last start was given {name}, and secrets are not kept on disk: "
                "give it again, or start without what was remembered: weathervane up --forget"
            )
    return sorted(now.keys() - before.keys())


def differences(kept: Remembered, settings: Settings, infer: int) -> list[str]:
    """What is another setting than before, one line each; no secret is shown."""
    lines = []
    for field, (value, digest) in _values(settings, kept.salt).items():
        old, old_digest = kept.values.get(field, (None, ""))
        if (value, digest) != (old, old_digest):
            change = f"{_shown(value)}, was {_shown(old)}"
            said = "another secret" if value == old else change
            lines.append(f"{PREFIX}{field.upper()}: {said}")
    if infer != kept.infer:
        lines.append(f"infer workers: {infer}, was {kept.infer}")
    return lines


def _values(settings: Settings, salt: str) -> dict[str, tuple[Any, str]]:
    return {
        field: _value(field, value, salt)
        for field, value in settings.plain(without=("name",)).items()
    }


def _value(field: str, value: Any, salt: str) -> tuple[Any, str]:
    """As it may be shown, and a digest where it is a secret."""
    if value in (None, {}, "") or not is_secret(f"{PREFIX}{field}", str(value)):
        return value, ""
    shown = without_password(value) if field == "redis" else _HIDDEN
    return shown, _digest(salt, msgspec.json.encode(value).decode())


def _digest(salt: str, value: str) -> str:
    return hashlib.scrypt(value.encode(), salt=salt.encode(), n=2**12, r=8, p=1, dklen=16).hex()


def _shown(value: Any) -> str:
    return "not set" if value in (None, "", {}) else str(value)
