"""Windows and steps asked for: defaults, forms of a time, bounds."""

import pytest

from pipeline.errors import Unreadable
from workers.api.errors import BadQuery
from workers.api.query import DAY, HOUR, MAX_BUCKETS, MINUTE, Window, fit_step, parse_window
from workers.api.views import web_address

NOON = 1_794_960_000 + 12 * HOUR  # 2026-11-18T12:00:00Z
MIDNIGHT = NOON - 12 * HOUR


def test_without_parameters_the_window_is_the_day_of_the_newest_data() -> None:
    assert parse_window(None, None, None, NOON) == Window(MIDNIGHT, MIDNIGHT + DAY, MINUTE)


@pytest.mark.parametrize(
    "start",
    [
        "2026-11-18T11:00:00Z",
        "2026-11-18T12:00:00+01:00",
        "2026-11-18T12:00:00 01:00",
        str(NOON - HOUR),
        f"{NOON - HOUR}.0",
        str((NOON - HOUR) * 1000),
    ],
)
def test_a_time_may_be_written_in_several_ways(start: str) -> None:
    window = parse_window(start, "2026-11-18T12:00:00Z", 300, 0)
    assert window == Window(NOON - HOUR, NOON, 300)


def test_a_window_is_widened_to_whole_buckets() -> None:
    assert parse_window(str(NOON + 30), str(NOON + 90), HOUR, 0) == Window(NOON, NOON + HOUR, HOUR)


def test_one_end_alone_makes_a_day() -> None:
    assert parse_window(str(NOON), None, HOUR, 0) == Window(NOON, NOON + DAY, HOUR)
    assert parse_window(None, str(NOON), HOUR, 0) == Window(NOON - DAY, NOON, HOUR)


@pytest.mark.parametrize("step", [0, -60, 1, 90, 420, 100_000])
def test_a_step_that_makes_no_buckets_of_a_day_is_refused(step: int) -> None:
    with pytest.raises(BadQuery, match=r"step: .* is no bucket width"):
        parse_window(None, None, step, NOON)


def test_too_many_buckets_are_refused_with_the_way_out() -> None:
    with pytest.raises(BadQuery, match=r"makes 2880 buckets.*wider step or a shorter window"):
        parse_window(str(NOON - 2 * DAY), str(NOON), MINUTE, 0)


def test_an_empty_window_is_refused() -> None:
    with pytest.raises(BadQuery, match="from must be before to"):
        parse_window(str(NOON), str(NOON), None, 0)


def test_no_time_is_an_error_that_names_the_parameter() -> None:
    with pytest.raises(Unreadable, match="to is not a time: 'yesterday'"):
        parse_window(None, "yesterday", None, NOON)


@pytest.mark.parametrize("days", [0.01, 1, 1.5, 7, 60, 366, 1_000, 40_000])
def test_the_fitting_step_keeps_within_the_bound(days: float) -> None:
    step = fit_step(days * DAY)
    assert days * DAY / step <= MAX_BUCKETS
    assert step % MINUTE == 0


@pytest.mark.parametrize(
    ("url", "offered"),
    [
        ("https://example.org/a?b#c", True),
        ("HTTP://example.org", True),
        ("javascript:alert(1)", False),
        (" javascript:alert(1)", False),
        ("data:text/html,<script>alert(1)</script>", False),
        ("//example.org", False),
        ("https://", False),
        ("http://[", False),
        (None, False),
    ],
)
def test_only_web_addresses_are_offered_as_links(url: str | None, offered: bool) -> None:
    assert (web_address(url) is not None) is offered
