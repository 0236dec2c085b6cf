"""Settings: told apart by their digest, and slips in them named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import SettingsError
from pipeline.settings import complete_environment, load_settings


@pytest.mark.parametrize(
    "other",
    [
        {"release": "fused-open"},
        {"kafka_password": "two"},
        {"notify_secrets": {"hook": "two"}},
        {"notify_secrets": {"hook": "one", "mail": "one"}},
    ],
)
def test_the_digest_changes_with_any_setting_secrets_included(other: dict[str, Any]) -> None:
    some: dict[str, Any] = {"kafka_password": "one", "notify_secrets": {"hook": "one"}}
    before = load_settings(**some).digest()
    assert load_settings(**(some | other)).digest() != before
    assert load_settings(**(some | {"name": "another"})).digest() == before


def test_the_digest_sees_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    before = load_settings().digest()
    monkeypatch.setenv("WEATHERVANE_RELEASE", "fused-open")
    assert load_settings().digest() != before


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("KAFAK", "did you mean WEATHERVANE_KAFKA?"),
        ("REDIS_URL", "did you mean WEATHERVANE_REDIS?"),
        ("TRACK", "did you mean WEATHERVANE_TRACKS?"),
        ("KAFKA_PASSWORD_FIEL", "did you mean WEATHERVANE_KAFKA_PASSWORD_FILE?"),
        ("NOTIFY_SECRET__OPS", "did you mean WEATHERVANE_NOTIFY_SECRETS"),
        ("CONFIGS", "did you mean WEATHERVANE_CONFIG?"),
        ("XYZZY", "is no setting"),
    ],
)
def test_a_variable_that_is_no_setting_is_named_with_the_nearest(
    name: str, meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"WEATHERVANE_{name}", "s3cret")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert f"WEATHERVANE_{name} is no setting" in str(caught.value)
    assert meant in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KAFKA_SERVICE_HOST", "10.0.0.1"),
        ("API_SERVICE_PORT_HTTP", "80"),
        ("API_PORT", "tcp://10.0.0.1:80"),
        ("API_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("PORT_80_TCP", "tcp://10.0.0.1:80"),
    ],
)
def test_what_kubernetes_says_of_its_services_is_no_slip(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"WEATHERVANE_{name}", value)
    load_settings()


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ('kafak = "a:1"\n', "kafak is no setting: did you mean kafka?"),
        ('WEATHERVANE_KAFKA = "a:1"\n', "is no setting: did you mean kafka?"),
        ('kafka-username = "a"\n', "is no setting: did you mean kafka_username?"),
        ("[store]\n", "store is no setting"),
        ("kafka = \n", "not TOML"),
        ('redis = "host:6379"\n', "settings.toml: redis: 'host:6379' is no URL"),
        ("partitions = 0\n", "settings.toml: partitions: "),
    ],
)
def test_a_slip_in_the_file_is_named_with_the_file(
    toml: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(toml)
    monkeypatch.setenv("WEATHERVANE_CONFIG", str(file))
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert said in str(caught.value)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_named(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path
    if content is not None:
        path = tmp_path / "settings.toml"
        path.write_bytes(content)
    monkeypatch.setenv("WEATHERVANE_CONFIG", str(path))
    with pytest.raises(SettingsError, match=str(path)):
        load_settings()


def test_no_sentence_holds_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEATHERVANE_NOTIFY_SECRETS", '["s3cret"]')
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert "s3cret" not in str(caught.value)
    monkeypatch.setenv("WEATHERVANE_NOTIFY_SECRETS", "s3cret")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert "NOTIFY_SECRETS" in str(caught.value).upper()
    assert "s3cret" not in str(caught.value)


def test_what_is_remembered_completes_the_environment_and_is_not_stronger(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("RELEASE", "DEVICE", "KAFKA_PASSWORD"):
        monkeypatch.setenv(f"WEATHERVANE_{name}", "")
    monkeypatch.setenv("WEATHERVANE_DEVICE", "cpu")
    monkeypatch.setenv("WEATHERVANE_KAFKA_PASSWORD_FILE", "password")
    complete_environment(
        {
            "WEATHERVANE_RELEASE": "fused-open",
            "WEATHERVANE_DEVICE": "cuda",
            "WEATHERVANE_KAFKA_PASSWORD": "of before",
        }
    )
    settings = load_settings()
    assert (settings.release, settings.device) == ("fused-open", "cpu")
    assert settings.kafka_password is None, "the file that is named now rules"
