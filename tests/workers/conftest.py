"""Fixtures of the page."""

from tests.workers.arrival import own_servers
from tests.workers.site import site, site_settings

__all__ = ["own_servers", "site", "site_settings"]
