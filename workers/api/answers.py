"""The form of every JSON answer, and how a route describes it in /openapi.json."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import Query
from fastapi.responses import JSONResponse

Moment = Annotated[str | None, Query(max_length=40, description="RFC 3339, or epoch seconds.")]


class Json(JSONResponse):
    """JSON of msgspec Structs."""

    def render(self, content: Any) -> bytes:
        """The bytes of the body."""
        return msgspec.json.encode(content)

    def init_headers(self, headers: Any = None) -> None:
        """Answers are of this moment: nobody keeps them."""
        super().init_headers({"Cache-Control": "no-store"} | dict(headers or {}))


def described(
    schema: dict[str, Any], media_type: str = "application/json", status: int = 200
) -> dict[int | str, Any]:
    """The responses of a route whose good answer has this schema."""
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {
        status: {"description": "Successful response", "content": {media_type: {"schema": schema}}},
        "4XX": {"description": "What was wrong, in a sentence", "content": error},
        503: {"description": "The store or Kafka does not answer", "content": error},
    }


def shape_of(shape: type) -> dict[str, Any]:
    """The reference to the schema of a Struct."""
    return {"$ref": f"#/components/schemas/{shape.__name__}"}
