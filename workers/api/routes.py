"""The routes under /api/v1 that tell of counts and posts, all of them GET."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Response
from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import SendTimeoutError
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from pipeline.alerts.alert import Alert
from pipeline.event import Emotion
from pipeline.tracks import ALL
from workers.api.answers import Json, Moment, described, shape_of
from workers.api.errors import error_response
from workers.api.query import check_step, parse_window
from workers.api.stream import Broadcaster, Subscription, log
from workers.api.views import Delta, Now, Posts, Series, Snapshot, Total, Tracks, Views, stream_step

MAX_STREAMS = 500
HEARTBEAT_SECONDS = 10
SEND_SECONDS = 30
"""A client that takes no byte for so long is gone."""
_SPAN = "Seconds of event time before the newest post; all of them where it is not given."

SHAPES = (Tracks, Series, Snapshot, Delta, Posts, Total, Now)
"""Types whose JSON Schema /openapi.json carries."""

TrackName = Annotated[str, Query(max_length=200, description="Name of a track.")]


class _Stream(EventSourceResponse):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except SendTimeoutError:
            log.info("a stream was closed: its client took nothing for %s s", SEND_SECONDS)


def make_router(views: Views, broadcaster: Broadcaster) -> APIRouter:
    """The routes over one store."""

    async def store_answers() -> None:
        views.store_answers()

    router = APIRouter(prefix="/api/v1", dependencies=[Depends(store_answers)])

    @router.get("/tracks", responses=described(shape_of(Tracks)), response_class=Json)
    def tracks() -> Response:
        """What is monitored: every track that ever had a post, and `all`."""
        return Json(views.tracks())

    @router.get("/series", responses=described(shape_of(Series)), response_class=Json)
    def series(
        track: TrackName = ALL,
        start: Annotated[Moment, Query(alias="from")] = None,
        end: Annotated[Moment, Query(alias="to")] = None,
        step: int | None = None,
    ) -> Response:
        """Counts by stretch of event time; the day of the newest post unless told otherwise."""
        views.known(track)
        return Json(views.series(track, parse_window(start, end, step, views.newest())))

    by_track = {"type": "object", "additionalProperties": shape_of(Total)}

    @router.get("/totals", responses=described(by_track), response_class=Json)
    def totals(track: Annotated[str | None, Query(max_length=200)] = None) -> Response:
        """Counts over all time, by track: of one track, or of every one."""
        if track is not None:
            views.known(track)
        return Json(views.totals(track))

    @router.get("/posts", responses=described(shape_of(Posts)), response_class=Json)
    def posts(
        track: TrackName = ALL,
        emotion: Emotion | None = None,
        limit: Annotated[int, Query(ge=1, le=50)] = 12,
    ) -> Response:
        """The newest exemplars of a track, with their texts where still retained."""
        return Json(views.posts(views.known(track), emotion, limit))

    @router.get("/freshness", responses=described(shape_of(Now)), response_class=Json)
    def freshness() -> Response:
        """How current the counts are, and how many records wait in front of each stage."""
        return Json(views.now())

    events = {"anyOf": [shape_of(Snapshot), shape_of(Delta), shape_of(Alert)]}

    @router.get(
        "/stream",
        responses=described(events, "text/event-stream"),
        response_class=EventSourceResponse,
    )
    async def stream(
        track: TrackName = ALL,
        step: int | None = None,
        span: Annotated[int | None, Query(ge=60, le=31_622_400, description=_SPAN)] = None,
        last_event_id: Annotated[str | None, Header(max_length=40_000)] = None,
    ) -> Response:
        """Server-Sent Events: a `snapshot`, then a `delta` whenever a count changed.

        An `alert` comes whenever an alert of the track did, and for `all` one of any track.
        """
        if broadcaster.clients >= MAX_STREAMS:
            return error_response(503, f"There are {MAX_STREAMS} streams open already.")
        await run_in_threadpool(views.known, track)
        seconds = await run_in_threadpool(views.span, track) if span is None else span
        width = stream_step(seconds) if step is None else check_step(step)
        return _Stream(
            broadcaster.events(Subscription(track, width, seconds), last_event_id),
            ping=HEARTBEAT_SECONDS,
            ping_message_factory=lambda: ServerSentEvent(comment="alive", sep="\n"),
            send_timeout=SEND_SECONDS,
            sep="\n",
        )

    return router
