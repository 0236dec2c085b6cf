"""The counts so far, as JSON or as a table."""

from __future__ import annotations

from contextlib import closing

import msgspec
from rich.console import Console
from rich.table import Column, Table

from pipeline.buckets import Counts
from pipeline.event import EMOTIONS, POLARITIES
from pipeline.settings import Settings
from pipeline.store import Store, connect
from pipeline.tracks import ALL


class Total(msgspec.Struct, omit_defaults=True):
    """What is printed of one track; every emotion and polarity is there, zero or not.

    `posts` = the emotions + `abstained` + `unread`.
    """

    posts: int
    emotions: dict[str, int]
    polarity: dict[str, int]
    abstained: int
    unread: int
    shed: int = 0
    """Posts left unscored under overload; left out where there were none."""


def read_totals(settings: Settings) -> dict[str, Counts]:
    """Counts by track; `all` is always among them."""
    with closing(connect(settings.redis)) as client:
        return {ALL: Counts()} | Store(client).totals()


def print_totals(settings: Settings, as_json: bool) -> None:
    """Print the counts to stdout."""
    counts = read_totals(settings)
    if as_json:
        print(msgspec.json.encode({name: _total(c) for name, c in counts.items()}).decode())
        return
    totals = [_total(of_track) for of_track in counts.values()]
    table = Table("", *(Column(name, justify="right") for name in counts))
    table.add_row("posts", *(f"{total.posts:,}" for total in totals), end_section=True)
    for name in EMOTIONS:
        table.add_row(name, *(f"{total.emotions[name]:,}" for total in totals))
    table.add_row("uncertain", *(f"{total.abstained:,}" for total in totals))
    table.add_row("nothing readable", *(f"{total.unread:,}" for total in totals))
    table.add_section()
    for polarity in POLARITIES:
        table.add_row(polarity, *(f"{total.polarity[polarity]:,}" for total in totals))
    if any(total.shed for total in totals):
        table.add_section()
        table.add_row("shed, not scored", *(f"{total.shed:,}" for total in totals))
    Console().print(table)


def _total(counts: Counts) -> Total:
    return Total(
        counts.posts,
        {name: counts.emotions.get(name, 0) for name in EMOTIONS},
        {name: counts.polarity.get(name, 0) for name in POLARITIES},
        counts.abstained,
        counts.unread,
        counts.shed,
    )
