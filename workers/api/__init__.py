"""The page and the HTTP API: one FastAPI application over the store and the alerts."""

from workers.api.app import create_app
from workers.api.server import run

__all__ = ["create_app", "run"]
