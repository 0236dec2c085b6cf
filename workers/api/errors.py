"""One shape for every error: `{"error": "a sentence"}`."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from redis.exceptions import RedisError
from starlette.exceptions import HTTPException

from pipeline.errors import ServerUnavailable, Unreadable

_SENTENCES = {
    404: "There is nothing at this address.",
    405: "This address does not answer that method.",
}


class UnknownTrack(Exception):
    """A track that the store does not hold."""

    def __init__(self, track: str, tracks: list[str]) -> None:
        super().__init__(f"There is no track {track[:80]!r}.")
        self.tracks = tracks


class UnknownAlert(Exception):
    """An alert that is not, or no longer, known."""


class StoreUnavailable(ServerUnavailable):
    """The store is known not to answer."""


class BadQuery(Exception):
    """A query parameter that cannot be used; the text says which, and what is expected."""


def error_response(status: int, sentence: str, **more: object) -> Response:
    """The answer to a request that failed."""
    return JSONResponse({"error": sentence, **more}, status_code=status)


def store_unavailable(sentence: str) -> Response:
    """The answer while the store does not answer. `code` is for programs, as for the page, which
    says it in the language of its reader."""
    return error_response(503, sentence, code="store")


def install(app: FastAPI) -> None:
    """Give every exception of the routes its answer."""

    @app.exception_handler(HTTPException)
    async def on_http(_: Request, error: HTTPException) -> Response:
        sentence = _SENTENCES.get(error.status_code, str(error.detail))
        response = error_response(error.status_code, sentence)
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(RequestValidationError)
    async def on_validation(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        name = first["loc"][-1]
        return error_response(422, f"{name}: {first['msg']} (got {str(first.get('input'))[:80]!r})")

    @app.exception_handler(BadQuery)
    @app.exception_handler(Unreadable)
    async def on_query(_: Request, error: Exception) -> Response:
        return error_response(422, str(error))

    @app.exception_handler(UnknownTrack)
    async def on_track(_: Request, error: UnknownTrack) -> Response:
        return error_response(404, str(error), tracks=error.tracks)

    @app.exception_handler(UnknownAlert)
    async def on_alert(_: Request, error: UnknownAlert) -> Response:
        return error_response(404, str(error))

    @app.exception_handler(RedisError)
    async def on_redis(_: Request, error: RedisError) -> Response:
        return store_unavailable(f"The store does not answer: {error}")

    @app.exception_handler(StoreUnavailable)
    async def on_store(_: Request, error: StoreUnavailable) -> Response:
        return store_unavailable(str(error))

    @app.exception_handler(ServerUnavailable)
    async def on_server(_: Request, error: ServerUnavailable) -> Response:
        return error_response(503, str(error))
