"""The counts so far, as JSON or as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from pipeline.buckets import Counts
from pipeline.errors import SettingsError
from pipeline.event import EMOTIONS, POLARITIES
from pipeline.settings import Settings
from pipeline.store import Store, asked
from pipeline.tracks import ALL

FIRST_COLUMN = 20
"""Characters of the names of the rows and what stands around them."""
BETWEEN = 3
"""Characters of a column beside what it says."""
LONGEST_NAME = 24
"""Characters of a track's name; a longer one goes over several lines."""


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
    """Counts by track; `all` is always among them.

    Raises:
        ServerUnavailable: Redis does not answer in time.
    """
    with asked(settings.redis) as client:
        return {ALL: Counts()} | Store(client).totals()


def print_totals(settings: Settings, as_json: bool, tracks: Sequence[str] = ()) -> None:
    """Print the counts to stdout, of these tracks where some are named.

    Raises:
        SettingsError: nothing was counted of one of them.
    """
    counts = read_totals(settings)
    unknown = [name for name in tracks if name not in counts]
    if unknown:
        raise SettingsError(
            f"--track {unknown[0]}: nothing was counted of it; there are {', '.join(counts)}"
        )
    totals = {name: _total(counts[name]) for name in (tracks or counts)}
    if as_json:
        print(msgspec.json.encode(totals).decode())
        return
    console = Console()
    for names in _side_by_side(totals, console.width):
        console.print(_table({name: totals[name] for name in names}))


def _table(totals: Mapping[str, Total]) -> Table:
    names = (Column(escape(name), justify="right", overflow="fold") for name in totals)
    table = Table(Column("", no_wrap=True), *names)
    shown = list(totals.values())
    table.add_row("posts", *(f"{total.posts:,}" for total in shown), end_section=True)
    for name in EMOTIONS:
        table.add_row(name, *(f"{total.emotions[name]:,}" for total in shown))
    table.add_row("uncertain", *(f"{total.abstained:,}" for total in shown))
    table.add_row("nothing readable", *(f"{total.unread:,}" for total in shown))
    table.add_section()
    for polarity in POLARITIES:
        table.add_row(polarity, *(f"{total.polarity[polarity]:,}" for total in shown))
    if any(total.shed for total in shown):
        table.add_section()
        table.add_row("shed, not scored", *(f"{total.shed:,}" for total in shown))
    return table


def _side_by_side(totals: Mapping[str, Total], width: int) -> Iterator[list[str]]:
    """The tracks by tables that are no wider than the terminal, one at least in each."""
    row: list[str] = []
    left = room = width - FIRST_COLUMN
    for name, total in totals.items():
        needed = max(min(cell_len(name), LONGEST_NAME), len(f"{total.posts:,}")) + BETWEEN
        if row and needed > left:
            yield row
            row, left = [], room
        row.append(name)
        left -= needed
    yield row


def _total(counts: Counts) -> Total:
    return Total(
        counts.posts,
        {name: counts.emotions.get(name, 0) for name in EMOTIONS},
        {name: counts.polarity.get(name, 0) for name in POLARITIES},
        counts.abstained,
        counts.unread,
        counts.shed,
    )
