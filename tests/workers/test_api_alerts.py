"""Alerts in the API: read from the topic, told in the stream, acknowledged and muted."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

import httpx
import pytest
from kafka import TopicPartition

from pipeline.alerts.alert import AlertCommand, Evidence, command_decoder
from pipeline.clients import consumer
from pipeline.settings import Settings
from pipeline.topics import ALERT_COMMANDS
from tests.pipeline.alerts import an_alert, cleared, updated
from tests.waiting import until
from tests.workers.site import Site, Written, serve
from tests.workers.test_api_stream import listen

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def desk(site_settings: Settings) -> Iterator[Site]:
    """A page, shared by the tests: each has a track of its own."""
    with serve(site_settings, f"alerts-{uuid.uuid4().hex[:8]}") as site:
        until(lambda: ask(site, "").status_code == 200, "the alerts are read")
        yield site


@pytest.fixture
def track() -> str:
    return f"t{uuid.uuid4().hex[:8]}"


def ask(site: Site, path: str, **params: str) -> httpx.Response:
    return httpx.get(f"{site.address}/api/v1/alerts{path}", params=params, timeout=30)


def ids(site: Site, **params: str) -> list[str]:
    answer = ask(site, "", **params)
    assert answer.status_code == 200, answer.text
    return [alert["id"] for alert in answer.json()["alerts"]]


def command(site: Site, path: str, body: Any = None, **headers: str) -> httpx.Response:
    content = json.dumps({} if body is None else body)
    sent = {"Content-Type": "application/json"} | headers
    return httpx.post(
        f"{site.address}/api/v1/alerts/{path}", content=content, headers=sent, timeout=30
    )


def test_alerts_are_listed_by_urgency_and_filtered(desk: Site, track: str) -> None:
    mild, strong = (
        an_alert(f"{track}{name}", track=track, severity=level)
        for name, level in (("mild", 2), ("strong", 9))
    )
    over = an_alert(f"{track}over", track=track)
    desk.alert(mild, over, updated(mild, 3), strong, cleared(over), strong)
    until(lambda: len(ids(desk, track=track)) == 3, "the alerts are there")
    until(lambda: ids(desk, track=track, state="cleared"), "one is over")
    assert ids(desk, track=track) == [strong.id, mild.id, over.id]
    assert ids(desk, track=track, state="active") == [strong.id, mild.id]
    assert ids(desk, track=track, state="updated") == [mild.id]
    assert ids(desk, track=track, to="2026-11-18T14:00:00Z") == []
    later = "2026-11-18T15:00:00Z"
    assert ids(desk, track=track, **{"from": later}) == [strong.id, mild.id]
    limited = ask(desk, "", track=track, limit="1").json()
    assert (len(limited["alerts"]), limited["more"]) == (1, True)
    assert ids(desk, track="nothing") == []
    assert ask(desk, "", state="angry").status_code == 422
    assert "from" in ask(desk, "", **{"from": "now"}).json()["error"]


def test_an_alert_comes_with_its_posts(desk: Site, track: str) -> None:
    at = 14 * 60 + 2
    desk.add([Written(f"{track}:{n}", f"post {n}", at, tracks=("all", track)) for n in range(3)])
    alert = an_alert(
        f"{track}a",
        track=track,
        evidence=Evidence(exemplars=(f"{track}:2", "gone:1", f"{track}:0")),
    )
    desk.alert(alert)
    until(lambda: ask(desk, f"/{alert.id}").status_code == 200, "the alert is there")
    detail = ask(desk, f"/{alert.id}").json()
    assert detail["alert"]["evidence"]["exemplars"] == [f"{track}:2", "gone:1", f"{track}:0"]
    assert [(post["id"], post["text"]) for post in detail["posts"]] == [
        (f"{track}:2", "post 2"), (f"{track}:0", "post 0"),
    ]  # fmt: skip
    unknown = ask(desk, "/nothing")
    assert unknown.status_code == 404
    assert unknown.json() == {"error": "There is no alert 'nothing'."}


def test_commands_reach_the_monitor_with_the_track_as_their_key(desk: Site, track: str) -> None:
    alert = an_alert(f"{track}a", track=track)
    desk.alert(alert)
    until(lambda: ask(desk, f"/{alert.id}").status_code == 200, "the alert is there")
    answer = command(desk, f"{alert.id}/acknowledge", {"by": "Ada"})
    assert answer.status_code == 202
    assert answer.json() == {"alert": alert.id, "action": "acknowledge", "sequence": 1}
    until_ = "2126-01-01T00:00:00Z"
    assert command(desk, f"{alert.id}/mute", {"until": until_}).status_code == 202
    assert command(desk, f"{alert.id}/unmute").status_code == 202
    given = commands(desk, track)
    assert [(c.alert, c.track, c.action, c.by) for c in given] == [
        (alert.id, track, "acknowledge", "Ada"),
        (alert.id, track, "mute", "page"),
        (alert.id, track, "unmute", "page"),
    ]
    assert given[1].until is not None
    assert given[1].until - given[1].at > timedelta(days=365)


def commands(site: Site, track: str) -> list[AlertCommand]:
    """The commands about a track, in the order of their partition."""
    found: list[AlertCommand] = []
    with closing(consumer(site.settings, None)) as source:
        numbers = source.partitions_for_topic(ALERT_COMMANDS)
        places = [TopicPartition(ALERT_COMMANDS, number) for number in numbers]
        source.assign(places)
        source.seek_to_beginning(*places)
        ends = source.end_offsets(places)
        while any(source.position(place) < ends[place] for place in places):
            for records in source.poll(timeout_ms=200).values():
                found += [
                    command_decoder.decode(record.value)
                    for record in records
                    if record.key == track.encode()
                ]
    return found


def test_a_command_is_refused_from_elsewhere_and_in_any_other_form(desk: Site, track: str) -> None:
    alert = an_alert(f"{track}a", track=track)
    desk.alert(alert)
    until(lambda: ask(desk, f"/{alert.id}").status_code == 200, "the alert is there")
    path = f"{alert.id}/mute"
    for headers in (
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
    ):
        assert command(desk, path, **headers).status_code == 403, headers
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        assert command(desk, path, **{"Content-Type": kind}).status_code == 415
    assert command(desk, path, {"by": "x" * 5000}).status_code == 413
    assert command(desk, path, {"by": ""}).status_code == 422
    assert command(desk, path, {"who": "x"}).status_code == 422
    assert command(desk, path, {"until": "2001-01-01T00:00:00Z"}).status_code == 422
    assert (
        command(desk, f"{alert.id}/acknowledge", {"until": "2126-01-01T00:00:00Z"}).status_code
        == 422
    )
    assert command(desk, f"{alert.id}/forget").status_code == 422
    assert command(desk, "nothing/mute").status_code == 404
    assert httpx.get(f"{desk.address}/api/v1/alerts/{path}").status_code == 405
    assert commands(desk, track) == []


def test_the_stream_tells_of_alerts_of_its_track_and_of_all(desk: Site, track: str) -> None:
    desk.add([Written(f"{track}:s", minute=1, tracks=("all", track, f"{track}2"))])
    alert = an_alert(f"{track}a", track=track)
    desk.alert(alert)
    until(lambda: ids(desk, track=track), "the alert is there")
    with (
        listen(desk, f"track={track}") as mine,
        listen(desk) as everything,
        listen(desk, f"track={track}2") as others,
    ):
        for client in (mine, everything, others):
            assert client.next("snapshot", "alert").name == "snapshot"
        desk.alert(updated(alert, 7), an_alert(f"{track}b", track=f"{track}2"))
        first, second = everything.next("alert"), everything.next("alert")
        assert [first.data["id"], second.data["id"]] == [alert.id, f"{track}b"]
        assert (first.data["severity"], first.data["sequence"]) == (7, 2)
        assert mine.next("alert").data == first.data
        assert others.next("alert").data == second.data


def test_an_alert_whose_record_was_deleted_is_gone(desk: Site, track: str) -> None:
    desk.alert(an_alert(f"{track}a", track=track))
    until(lambda: ids(desk, track=track), "the alert is there")
    desk.withdraw_alerts()
    until(lambda: not ids(desk, track=track), "the alert is gone")


def test_before_the_topic_is_read_there_is_no_empty_answer() -> None:
    from pipeline.errors import ServerUnavailable
    from workers.api.alerts import AlertDesk

    desk = AlertDesk(Settings(kafka="127.0.0.1:1"))
    with pytest.raises(ServerUnavailable):
        desk.alerts(None, None, None, None, 10)
