"""The process that serves the page."""

from __future__ import annotations

import uvicorn

from pipeline.lag import Lag
from pipeline.posts_reader import PostReader
from pipeline.settings import Settings
from pipeline.store import Store
from workers.api.app import create_app

SHUTDOWN_SECONDS = 5


def run(settings: Settings, port: int, name: str) -> None:
    """Serve the page on `settings.page_host` and `port` until SIGTERM or SIGINT."""
    store = Store.connect(settings.redis)
    app = create_app(store, PostReader(settings), Lag(settings), hosts={settings.page_host})
    app.title = f"Weathervane ({name})"
    config = uvicorn.Config(
        app,
        host=settings.page_host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    uvicorn.Server(config).run()
