"""Settings: environment first, then the TOML file that WEATHERVANE_CONFIG names, then defaults.

This is the only module that reads the environment.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings import SettingsError as UnreadableVariable

from pipeline.addresses import checked_redis, checked_servers, without_password
from pipeline.errors import SettingsError
from pipeline.setting_names import (
    CONFIG,
    PREFIX,
    is_foreign,
    unknown_key,
    unknown_variable,
)

__all__ = [
    "PREFIX",
    "Settings",
    "complete_environment",
    "is_secret",
    "load_settings",
    "variables",
]

_NESTED = ("notify_secrets",)
"""Settings that hold named values: one variable each."""
_HIDDEN = ("redis", "kafka")
"""Settings whose wrong value only their own sentence shows: there may be a password in it."""


class Settings(BaseSettings):
    """One field a setting; `WEATHERVANE_<FIELD>` in the environment, `<field>` in the TOML file."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        validate_default=False,
    )

    kafka: Annotated[str, AfterValidator(checked_servers)] = ""
    """Bootstrap servers, `host:port` separated by commas; empty where none are named. There is no
    usual address: whatever listens there need not be ours."""
    redis: Annotated[str, AfterValidator(checked_redis)] = ""
    """`redis://` or `rediss://` URL of the store; empty where none is named."""
    kafka_security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    kafka_username: str | None = None
    kafka_password: SecretStr | None = None
    kafka_password_file: Path | None = None
    kafka_ca_file: Path | None = None
    kafka_cert_file: Path | None = None
    kafka_key_file: Path | None = None

    name: str = Field(default_factory=socket.gethostname)
    """Name of this worker: unique in its role, the same after a restart. It fences zombies."""
    partitions: int = Field(default=6, ge=1, le=1024)
    """Partitions of every topic, used when topics are created."""
    replication: int = Field(default=1, ge=1, le=9)
    retention_hours: float = Field(default=48, gt=0)
    """How long `posts`, `posts.raw.*` and `sentiment` keep a record."""
    dead_letter_retention_hours: float = Field(default=6 * 24, gt=0)
    """Shorter than the 7 days after which a broker forgets the offsets of an idle group
    (`offsets.retention.minutes`): those of `redrive` say which letters were sent back."""

    tracks: Path | None = None
    """TOML file of the tracks; read again whenever it changes."""
    lateness_seconds: float = Field(default=600, ge=0)
    """A post older than the watermark by more than this is counted as late."""
    dedupe_hours: float = Field(default=48, gt=0)
    """Horizon within which a post id is counted once."""
    batch_records: int = Field(default=500, ge=1, le=10_000)
    """Most records in one transaction; fewer cost throughput (`python -m benchmarks delivery`)."""
    batch_seconds: float = Field(default=0.2, gt=0, le=5)
    """Longest wait for a batch to fill, in seconds."""

    release: str | None = None
    """The model: the name of a shipped release, a folder, or a name on the Hugging Face hub."""
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = "auto"
    """`cpu`, `cuda`, `cuda:1` for the second one, or `auto`: a GPU where there is one."""
    device_timeout_seconds: float = Field(default=15, gt=0)
    """A device process that answers nothing for this long is replaced."""
    device_memory_mib: int | None = Field(default=None, ge=8)
    """Most memory that the device process may take beyond the loaded model, on a processor (Linux);
    no bound unless given. What does not fit is tried in halves, and alone at last."""
    overload: Literal["wait", "shed"] = "wait"
    """What infer does when it is too far behind: let posts wait, or score a sample of them."""
    overload_start_seconds: float = Field(default=30, gt=0)
    """Lag from which on posts are shed."""
    overload_full_seconds: float = Field(default=120, gt=0)
    """Lag from which on as few are kept as ever: one in `SPARSEST` (pipeline/shedding.py)."""
    author_salt: SecretStr | None = None
    author_salt_file: Path | None = None
    """Salt of the author hash. Without one, events carry no author."""

    mastodon_token: SecretStr | None = None
    mastodon_token_file: Path | None = None
    """Token of an application at the server that `weathervane source mastodon` reads."""

    rules: Path | None = None
    """TOML file of the rules of alerts; read again whenever it changes."""
    monitor_lateness_seconds: float = Field(default=120, ge=0)
    """The monitor waits for posts that are this much older than the newest when they reach their
    raw topic before it judges a minute. Alerts come that much later."""
    monitor_idle_seconds: float = Field(default=5, gt=0)
    """It waits for no partition that was silent for this long while no post is on its way."""

    notify: Path | None = None
    """TOML file of the channels that hear of alerts; read again whenever it changes."""
    notify_secrets: dict[str, SecretStr] = {}
    """Secrets that the channels name: `WEATHERVANE_NOTIFY_SECRETS__<NAME>`, one variable each."""

    stalled_seconds: float = Field(default=60, gt=0)
    """A worker whose loop has not come round for this long is not alive; after half as long again
    it ends itself, to be started again."""

    page_host: str = "127.0.0.1"
    page_port: int = 8600
    page_names: str = ""
    """Further host names, separated by commas, under which a browser may ask for the page: those
    of a proxy, say. Any other name is refused (DNS rebinding)."""
    metrics_host: str = "127.0.0.1"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, environment, TOML file, in this order; no `.env` file is read."""
        toml = TomlConfigSettingsSource(settings_cls, os.environ.get(CONFIG) or None)
        return init_settings, env_settings, toml

    def secret(self, field: str) -> str | None:
        """The value of `<field>`, or the content of the file that `<field>_file` names."""
        value: SecretStr | None = getattr(self, field)
        if value is not None:
            return value.get_secret_value()
        path: Path | None = getattr(self, f"{field}_file")
        if path is None:
            return None
        try:
            return path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SettingsError(f"{field}_file: cannot read {path}: {error.strerror}") from error

    def digest(self, without: Collection[str] = ()) -> str:
        """Tells these settings from others, the worker's name and those `without` apart; it shows
        no secret."""
        values = self.plain(without={"name", *without})
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()

    def plain(self, without: Collection[str] = ()) -> dict[str, Any]:
        """The values as JSON has them, secrets included: not to be shown or stored."""
        dump = json.dumps(self.model_dump(exclude=set(without)), default=_plain)
        values: dict[str, Any] = json.loads(dump)
        return values

    def kafka_options(self) -> dict[str, Any]:
        """The connection arguments that every kafka-python client takes."""
        if not self.kafka:
            raise SettingsError(f"no Kafka is named: set {PREFIX}KAFKA to HOST:PORT")
        options: dict[str, Any] = {
            "bootstrap_servers": [server.strip() for server in self.kafka.split(",")],
            "security_protocol": self.kafka_security,
        }
        if self.kafka_sasl_mechanism:
            options |= {
                "sasl_mechanism": self.kafka_sasl_mechanism,
                "sasl_plain_username": self.kafka_username,
                "sasl_plain_password": self.secret("kafka_password"),
            }
        files = {
            "ssl_cafile": self.kafka_ca_file,
            "ssl_certfile": self.kafka_cert_file,
            "ssl_keyfile": self.kafka_key_file,
        }
        return options | {key: str(path) for key, path in files.items() if path is not None}


def _plain(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def variables() -> dict[str, str]:
    """What the environment says about settings, by variable; empty values say nothing."""
    return {
        name.upper(): value
        for name, value in os.environ.items()
        if name.upper().startswith(PREFIX) and value and not is_foreign(name, value)
    }


def complete_environment(remembered: Mapping[str, str]) -> None:
    """Set those variables that are not set; of `X` and `X_FILE` the one that is set rules."""
    given = variables()
    for name, value in remembered.items():
        other = name.removesuffix("_FILE") if name.endswith("_FILE") else f"{name}_FILE"
        if name not in given and other not in given:
            os.environ[name] = value


def is_secret(variable: str, value: str) -> bool:
    """Whether this value of a variable is a secret, or holds one."""
    field = variable.upper().removeprefix(PREFIX).lower().partition("__")[0]
    if field == "redis":
        return without_password(value) != value
    info = Settings.model_fields.get(field)
    return info is not None and "SecretStr" in str(info.annotation)


def load_settings(**overrides: Any) -> Settings:
    """Settings of this process. `overrides` win over environment and file; None is left out.

    Raises:
        SettingsError: with the name of the setting and what was wrong with it.
    """
    problem = unknown_variable(variables(), Settings.model_fields, _NESTED)
    if problem is not None:
        raise SettingsError(problem)
    config = os.environ.get(CONFIG)
    keys = _keys(config) if config else {}
    try:
        return Settings(**{key: value for key, value in overrides.items() if value is not None})
    except ValidationError as error:
        raise SettingsError(_sentence(error, config, keys)) from None
    except UnreadableVariable as error:
        # Its text names the field; what pydantic chained to it holds the value.
        raise SettingsError(f"{error}: it holds one JSON object") from None


def _keys(config: str) -> Mapping[str, Any]:
    """What the TOML file says, by setting."""
    try:
        with Path(config).open("rb") as file:
            keys = tomllib.load(file)
    except FileNotFoundError as error:
        raise SettingsError(f"{CONFIG}: there is no file {config}") from error
    except OSError as error:
        raise SettingsError(f"{CONFIG}: cannot read {config}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{config}: not TOML: {error}") from error
    problem = unknown_key(keys, Settings.model_fields)
    if problem is not None:
        raise SettingsError(f"{config}: {problem}")
    return keys


def _sentence(error: ValidationError, config: str | None, keys: Mapping[str, Any]) -> str:
    first = error.errors(include_url=False)[0]
    path = [str(part) for part in first["loc"]] or ["settings"]
    variable = f"{PREFIX}{'__'.join(path).upper()}"
    in_file = path[0] in keys and variable not in variables()
    name = f"{config}: {'.'.join(path)}" if in_file else variable
    said = first["msg"].removeprefix("Value error, ")
    hidden = path[0] in _HIDDEN or is_secret(variable, "")
    return f"{name}: {said}" + ("" if hidden else f" (got {first.get('input')!r})")
