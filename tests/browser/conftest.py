"""Fixtures of the page."""

from tests.workers.site import site, site_settings

__all__ = ["site", "site_settings"]
