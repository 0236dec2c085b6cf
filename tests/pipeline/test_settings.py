"""Settings: told apart by their digest."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.settings import load_settings


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
