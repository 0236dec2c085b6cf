"""Event times."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import Unreadable
from pipeline.times import epoch_ms, parse_time, rfc3339

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        "2026-03-01T12:00:00Z",
        "2026-03-01T12:00:00.000000000Z",
        "2026-03-01T20:00:00+08:00",
        "2026-03-01 12:00:00",
        1_772_366_400,
        1_772_366_400.0,
        1_772_366_400_000,
        1_772_366_400_000_000,
        1_772_366_400_000_000_000,
    ],
)
def test_every_notation_is_the_same_moment(value: object) -> None:
    assert parse_time(value) == NOON


@pytest.mark.parametrize("value", ["", "noon", "2026-13-01T00:00:00Z", 1e300, -5, True, [], None])
def test_what_is_no_time_is_refused_with_the_value(value: object) -> None:
    with pytest.raises(Unreadable, match="sent is not a time"):
        parse_time(value, "sent")


@given(
    st.datetimes(datetime(1991, 1, 1), datetime(2099, 1, 1)),  # noqa: DTZ001
    st.integers(-23, 23),
)
def test_milliseconds_are_exact_in_any_zone(moment: datetime, hours: int) -> None:
    aware = moment.replace(tzinfo=timezone(timedelta(hours=hours)))
    whole = aware.replace(microsecond=aware.microsecond // 1000 * 1000)
    assert parse_time(rfc3339(epoch_ms(parse_time(aware)))) == whole
