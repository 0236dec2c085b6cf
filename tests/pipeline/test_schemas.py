"""The exported JSON Schemas: current, valid, and saying what the decoders do."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from pipeline.post import encoder
from pipeline.schemas import SCHEMAS, schema, text_of
from tests.pipeline.events import scored

FOLDER = Path(__file__).parents[2] / "docs" / "schemas"


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_file_is_current(name: str) -> None:
    assert (FOLDER / f"{name}.json").read_text(encoding="utf-8") == text_of(name), (
        "run: python -m pipeline.schemas docs/schemas"
    )


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_schema_is_a_schema(name: str) -> None:
    Draft202012Validator.check_schema(schema(name))


def test_an_event_is_valid() -> None:
    event = json.loads(encoder.encode(scored(1, 0).event))
    Draft202012Validator(schema("sentiment-event")).validate(event)


def test_a_post_needs_its_id_and_time() -> None:
    post = Draft202012Validator(schema("post"))
    assert post.is_valid({"id": "w:1", "created_at": "2026-01-01T00:00:00Z", "extra": 1})
    assert not post.is_valid({"created_at": "2026-01-01T00:00:00Z"})
    assert not post.is_valid({"id": "w:1"})
