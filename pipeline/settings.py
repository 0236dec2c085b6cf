"""Settings: environment first, then the TOML file that WEATHERVANE_CONFIG names, then defaults.

This is the only module that reads the environment.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from pipeline.errors import SettingsError

PREFIX = "WEATHERVANE_"


class Settings(BaseSettings):
    """One field a setting; `WEATHERVANE_<FIELD>` in the environment, `<field>` in the TOML file."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="ignore", frozen=True
    )

    kafka: str = "127.0.0.1:9092"
    """Bootstrap servers, `host:port` separated by commas."""
    redis: str = "redis://127.0.0.1:6379/0"
    """`redis://` or `rediss://` URL of the store."""
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
        toml = TomlConfigSettingsSource(settings_cls, os.environ.get(f"{PREFIX}CONFIG"))
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

    def digest(self) -> str:
        """Tells these settings from others, the worker's name apart; it shows no secret."""
        values = json.dumps(self.model_dump(exclude={"name"}), sort_keys=True, default=_plain)
        return hashlib.sha256(values.encode()).hexdigest()

    def kafka_options(self) -> dict[str, Any]:
        """The connection arguments that every kafka-python client takes."""
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


def load_settings(**overrides: Any) -> Settings:
    """Settings of this process. `overrides` win over environment and file; None is left out.

    Raises:
        SettingsError: with the name of the setting and what was wrong with it.
    """
    config = os.environ.get(f"{PREFIX}CONFIG")
    if config and not Path(config).is_file():
        raise SettingsError(f"{PREFIX}CONFIG: there is no file {config}")
    try:
        return Settings(**{key: value for key, value in overrides.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "settings"
        raise SettingsError(
            f"{PREFIX}{field.upper()}: {first['msg']} (got {first.get('input')!r})"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{config}: not TOML: {error}") from error
