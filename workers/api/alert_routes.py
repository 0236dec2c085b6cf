"""The routes under /api/v1/alerts: reading, acknowledging, muting.

Acknowledging and muting are the only requests of this API that change anything. They ask for a
JSON body's content type, which no form of another site can send without the browser asking first,
and the guard refuses every request that another origin makes.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from pipeline.alerts.alert import Action
from workers.api.alerts import Accepted, AlertDesk, AlertDetail, Alerts, StateFilter
from workers.api.answers import Json, Moment, described, shape_of
from workers.api.errors import error_response
from workers.api.query import parse_moment
from workers.api.views import Views

BODY_BYTES = 4096
SHAPES = (Alerts, AlertDetail, Accepted)

AlertId = Annotated[str, Path(max_length=200, description="Id of an alert.")]
_NOT_JSON = "Send a JSON body with the content type application/json; {} is enough."

_BODY = {
    "type": "object",
    "properties": {
        "by": {"type": "string", "maxLength": 80, "description": "Who says it."},
        "until": {
            "type": ["string", "null"],
            "format": "date-time",
            "description": "End of a mute; for ever unless given.",
        },
    },
}


def make_alert_router(views: Views, desk: AlertDesk) -> APIRouter:
    """The routes over one desk."""
    router = APIRouter(prefix="/api/v1/alerts")

    @router.get("", responses=described(shape_of(Alerts)), response_class=Json)
    def alerts(
        track: Annotated[str | None, Query(max_length=200)] = None,
        state: Annotated[StateFilter | None, Query(description="`active` is not cleared.")] = None,
        start: Annotated[Moment, Query(alias="from")] = None,
        end: Annotated[Moment, Query(alias="to")] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
    ) -> Response:
        """Live and recent alerts of a track or of every one, going on in [from, to)."""
        since, until = parse_moment(start, "from"), parse_moment(end, "to")
        return Json(desk.alerts(track, state, since, until, limit))

    @router.get("/{alert}", responses=described(shape_of(AlertDetail)), response_class=Json)
    def alert_detail(alert: AlertId) -> Response:
        """One alert, with its exemplars and their texts where still retained."""
        found = desk.get(alert)
        views.store_answers()
        return Json(AlertDetail(found, views.alert_posts(found)))

    @router.post(
        "/{alert}/{action}",
        status_code=202,
        responses=described(shape_of(Accepted), status=202),
        response_class=Json,
        openapi_extra={"requestBody": {"content": {"application/json": {"schema": _BODY}}}},
    )
    async def command(alert: AlertId, action: Action, request: Request) -> Response:
        """Acknowledge or mute; the monitor answers with the next state of the alert."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            return error_response(415, _NOT_JSON)
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > BODY_BYTES:
                return error_response(413, f"The body is longer than {BODY_BYTES} bytes.")
        return Json(await run_in_threadpool(desk.command, alert, action, body), status_code=202)

    return router
