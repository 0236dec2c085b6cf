"""Names of settings: which are none, and which was meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable

PREFIX = "WEATHERVANE_"
CONFIG = f"{PREFIX}CONFIG"

# Kubernetes gives every container variables like these for a service named weathervane-….
_OF_A_SERVICE = re.compile(
    r".*_SERVICE_(HOST|PORT(_.+)?)|(.*_)?PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?"
)
_LINK = re.compile(r"(tcp|udp|sctp)://")


def is_foreign(variable: str, value: str) -> bool:
    """Whether a variable with our prefix was set by Kubernetes, of one of its services."""
    rest = variable.upper().removeprefix(PREFIX)
    linked = rest.endswith("PORT") and _LINK.match(value) is not None
    return linked or _OF_A_SERVICE.fullmatch(rest) is not None


def unknown_variable(
    variables: Iterable[str], fields: Collection[str], nested: Collection[str]
) -> str | None:
    """A sentence about the first variable that is no setting, or None.

    Args:
        variables: names, in upper case.
        fields: names of the settings.
        nested: those of them that hold named values: `<FIELD>__<NAME>`.
    """
    names = {"CONFIG", *(field.upper() for field in fields)}
    within = tuple(f"{field.upper()}__" for field in nested)
    for variable in sorted(variables):
        rest = variable.removeprefix(PREFIX)
        if rest in names or (rest.startswith(within) and rest not in within):
            continue
        known = [*names, *(f"{start}NAME" for start in within)]
        meant = difflib.get_close_matches(rest, known, n=1, cutoff=0.6)
        return _sentence(variable, [PREFIX + name for name in meant])
    return None


def unknown_key(keys: Iterable[str], fields: Collection[str]) -> str | None:
    """A sentence about the first key of a TOML file that is no setting, or None."""
    for key in keys:
        if key not in fields:
            name = key.lower().replace("-", "_").removeprefix(PREFIX.lower())
            return _sentence(key, difflib.get_close_matches(name, fields, n=1, cutoff=0.6))
    return None


def _sentence(name: str, meant: list[str]) -> str:
    hint = f"did you mean {meant[0]}?" if meant else "pipeline/settings.py lists all of them"
    return f"{name} is no setting: {hint}"
