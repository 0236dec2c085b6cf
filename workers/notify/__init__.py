"""Notify: what the alerts say, told to the channels, each change once."""

from workers.notify.service import run

__all__ = ["run"]
