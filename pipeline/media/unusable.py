"""Inside the child: why an item cannot be used."""

from __future__ import annotations


class Unusable(Exception):
    """Its text is the reason that the parent hands on."""
