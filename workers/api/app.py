"""The application: routes, page, health, metrics, and the guard around them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import msgspec
from fastapi import FastAPI, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import FileResponse, JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.concurrency import run_in_threadpool
from starlette.staticfiles import StaticFiles

import workers
from pipeline.lag import Lag
from pipeline.posts_reader import PostReader
from pipeline.store import Store
from workers.api import errors
from workers.api.alert_routes import SHAPES as ALERT_SHAPES
from workers.api.alert_routes import make_alert_router
from workers.api.alerts import AlertDesk
from workers.api.metrics import Measured, Metrics
from workers.api.routes import SHAPES, make_router
from workers.api.security import Guard
from workers.api.stream import Broadcaster
from workers.api.views import Views
from workers.api.watch import watch_lag, watch_store

PAGE = Path(workers.__file__).parent / "page"
READY_SECONDS = 2.5


def create_app(
    store: Store,
    posts: PostReader,
    lag: Lag,
    desk: AlertDesk,
    *,
    hosts: Collection[str] = (),
    tick: float = 1.0,
) -> FastAPI:
    """The page and the API over a store.

    Args:
        posts: reads the texts of exemplars, which the store does not keep.
        lag: how far the consumer groups are behind.
        desk: the alerts; opened and closed with the application.
        hosts: names the page is reached by, besides those of the loopback.
        tick: seconds between two updates of the streams.
    """
    metrics = Metrics()
    views = Views(store, posts)
    metrics.tell_lag(lambda: views.lag)
    broadcaster = Broadcaster(views, metrics, tick, desk.board)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        desk.open()
        tasks = [
            asyncio.create_task(broadcaster.run()),
            asyncio.create_task(watch_lag(views, lag)),
            asyncio.create_task(watch_store(views)),
        ]
        yield
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await run_in_threadpool(desk.close)

    app = FastAPI(
        title="Weathervane",
        description="Live emotion and polarity of social posts, and alerts where they spike.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    errors.install(app)
    app.include_router(make_router(views, broadcaster))
    app.include_router(make_alert_router(views, desk))
    _add_service_routes(app, views, metrics)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    app.add_middleware(Measured, metrics=metrics)
    app.add_middleware(Guard, hosts=hosts)
    return app


def _add_service_routes(app: FastAPI, views: Views, metrics: Metrics) -> None:
    @app.get("/", include_in_schema=False)
    def page() -> Response:
        return FileResponse(PAGE / "index.html", headers={"Cache-Control": "no-cache"})

    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz", include_in_schema=False)
    async def readyz() -> Response:
        with anyio.move_on_after(READY_SECONDS), suppress(Exception):
            await anyio.to_thread.run_sync(views.look, abandon_on_cancel=True)
            return JSONResponse({"status": "ready"})
        return errors.store_unavailable(views.trouble or "The store does not answer.")

    @app.get("/metrics", include_in_schema=False)
    def scrape() -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    app.mount("/page", _Page(directory=PAGE), name="page-files")


class _Page(StaticFiles):
    """The page's files, asked for again each time: an ETag makes that cheap."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title, version="1", description=app.description, routes=app.routes
        )
        _, shapes = msgspec.json.schema_components(
            (*SHAPES, *ALERT_SHAPES), ref_template="#/components/schemas/{name}"
        )
        error = {"type": "object", "properties": {"error": {"type": "string"}}}
        components = schema.setdefault("components", {}).setdefault("schemas", {})
        components |= shapes | {"Error": error}
        app.openapi_schema = schema
    return app.openapi_schema
