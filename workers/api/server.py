"""The process that serves the page."""

from __future__ import annotations

import signal
import sys

import uvicorn
from fastapi import FastAPI

from pipeline.lag import Lag
from pipeline.posts_reader import PostReader
from pipeline.settings import Settings
from pipeline.store import Store
from workers.api.alerts import AlertDesk
from workers.api.app import create_app
from workers.process import check_port

SHUTDOWN_SECONDS = 5


def run(settings: Settings, port: int, name: str) -> None:
    """Serve the page on `settings.page_host` and `port` until SIGTERM or SIGINT.

    Raises:
        WeathervaneError: the port is taken, or Kafka does not answer.
    """
    check_port(settings.page_host, port)
    store = Store.connect(settings.redis)
    names = {name.strip() for name in settings.page_names.split(",") if name.strip()}
    hosts = names | {settings.page_host}
    app = create_app(store, PostReader(settings), Lag(settings), AlertDesk(settings), hosts=hosts)
    app.title = f"Weathervane ({name})"
    for stop in (signal.SIGTERM, signal.SIGINT):
        # uvicorn raises the signal again once it has drained: that is the end, and a good one.
        signal.signal(stop, lambda *_: sys.exit(0))
    make_server(app, settings.page_host, port).run()


def make_server(app: FastAPI, host: str, port: int) -> uvicorn.Server:
    """A server that logs as its process does, says nothing of itself and trusts no proxy header."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    return uvicorn.Server(config)
