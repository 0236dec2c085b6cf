"""Channels, words, payloads, pace and signature: without servers, the clock passed in."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.alerts.alert import Acknowledgement, Evidence, Term
from pipeline.alerts.board import AlertBoard
from pipeline.errors import SettingsError
from pipeline.notify.config import Channel, ConfigFile, Mail, Webhook, load_config
from pipeline.notify.ledger import Change
from pipeline.notify.messages import compose, count, cut_to_bytes, percent, plain
from pipeline.notify.offsets import Offsets
from pipeline.notify.pace import TokenBucket, retry_seconds
from pipeline.notify.payloads import Poster, webhook_body
from pipeline.notify.sample import sample_alert
from pipeline.notify.signing import signature, signature_headers
from tests.pipeline.alerts import ONSET, an_alert, cleared, updated

PAGE = "https://vane.example.org/"
CHANNELS = """
page = "https://vane.example.org"
[[channel]]
name = "ops"
kind = "webhook"
url = "http://127.0.0.1:1/hook"
key_secret = "ops_key"
tracks = ["coffee", "tea*"]
series = ["emotion:*"]
min_severity = 4
states = ["fired", "cleared"]
[[channel]]
name = "post"
kind = "mail"
host = "smtp.example.org"
from = "vane@example.org"
to = ["a@example.org"]
language = "zh"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "channels.toml"
    path.write_text(CHANNELS)
    return path


def test_the_file_gives_channels_with_the_defaults_of_their_kind(file: Path) -> None:
    ops, post = load_config(file).channel
    assert isinstance(ops, Webhook)
    assert isinstance(post, Mail)
    assert (ops.in_doubt, post.in_doubt) == ("repeat", "skip")
    assert (post.per_minute, post.language, post.sender) == (20, "zh", "vane@example.org")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('kind = "webhook"', 'kind = "pigeon"', "pigeon"),
        ("min_severity = 4", "min_severity = 11", "channel 'ops': min_severity is from 1 to 10"),
        ("min_severity", "min_severty", "min_severty"),
        ('key_secret = "ops_key"', 'url_file = "/x"', "channel 'ops': give one of url and"),
        ('url = "http://127.0.0.1:1/hook"', 'url = "ftp://x"', "no http(s) address"),
        ('url = "http://127.0.0.1:1/hook"', "", "give one of url, url_secret, url_file"),
        ('name = "post"', 'name = "ops"', "two channels of this name"),
        ('name = "ops"', 'name = "o ps"', "a name is"),
        ('to = ["a@example.org"]', "to = []", "name at least one address"),
        ("[[channel]]", "[[channel", "line 3"),
        (
            'kind = "webhook"\nurl = "http://127.0.0.1:1/hook"\nkey_secret = "ops_key"',
            'kind = "alertmanager"\nurl = "http://127.0.0.1:1"\n'
            'labels = {"brand-team" = "x", "9x" = "y", "ok_1" = "z", "a b" = "", "é" = "e"}',
            "labels: 'brand-team', '9x', 'a b', 'é': a label name has",
        ),
    ],
)
def test_a_wrong_file_is_refused_with_what_is_wrong(
    file: Path, before: str, after: str, said: str
) -> None:
    file.write_text(CHANNELS.replace(before, after, 1))
    with pytest.raises(SettingsError) as caught:
        load_config(file)
    assert said in str(caught.value)
    assert str(file) in str(caught.value)


def test_the_file_is_read_again_and_a_wrong_one_leaves_the_old_in_force(file: Path) -> None:
    reader = ConfigFile(file)
    assert not reader.changed()
    file.write_text("[[channel]]\nname = 'broken'")
    os.utime(file, ns=(1, 1))
    assert not reader.changed()
    assert [channel.name for channel in reader.config.channel] == ["ops", "post"]
    file.write_text(CHANNELS.replace('"post"', '"letters"'))
    os.utime(file, ns=(2, 2))
    assert reader.changed()
    assert [channel.name for channel in reader.config.channel] == ["ops", "letters"]
    file.unlink()
    assert not reader.changed()
    assert len(reader.config.channel) == 2


def test_filters() -> None:
    channel = Channel(
        name="c",
        tracks=("coffee", "tea*"),
        series=("emotion:*", "volume"),
        min_severity=4,
        states=("fired", "cleared"),
    )
    assert channel.wants(an_alert())
    assert channel.wants(an_alert(track="tea shops", series="volume"))
    assert not channel.wants(an_alert(track="cocoa"))
    assert not channel.wants(an_alert(series="polarity:negative"))
    assert not channel.wants(an_alert(severity=3))
    assert not channel.wants(updated(an_alert(), 6))
    assert channel.wants(updated(an_alert(), 6), any_state=True)
    assert Channel(name="all").wants(an_alert(track="anything", severity=1))


def test_a_message_says_what_and_why_in_both_languages() -> None:
    english = compose([an_alert()], "en", PAGE)
    assert english.title == "Weathervane: Joy spikes in coffee (severity 5 of 10)"
    assert "42% of the posts in the minute of 14:04 UTC; expected 18% (12% to 25%)" in english.body
    assert "Since 2026-11-18 14:00 UTC, 180 posts until 14:05." in english.body
    assert "too late" not in english.body
    assert "12.3 standard deviations" in english.body
    assert "Words: espresso (31% of posts, 2% before)" in english.body
    assert "Amplified: 62% reposts, 40% near-duplicates" in english.body
    assert "https://vane.example.org/?track=coffee&range=all&alert=a1" in english.body
    chinese = compose([an_alert()], "zh", PAGE)
    assert chinese.title == "Weathervane 风向标：coffee：喜悦激增（严重度 5/10）"
    assert "预期 18%（12% 至 25%）" in chinese.body
    assert english.key == chinese.key == "a1/1"
    assert "7 more came too late to be judged" in compose([an_alert(late_posts=7)], "en", PAGE).body
    assert "另有 7 条到达过晚" in compose([an_alert(late_posts=7)], "zh", PAGE).body


def test_volume_and_the_end_of_a_spike_read_as_such() -> None:
    alert = an_alert(series="volume", unit="posts", observed=3400, expected=7.5, low=-2, high=20)
    over = compose([cleared(alert)], "en", PAGE)
    assert (
        over.title
        == "Weathervane: Number of posts in coffee is back to normal (was severity 5 of 10)"
    )
    assert "3,400 posts in the minute of 14:14 UTC; expected 7.5 (0 to 20)." in over.body
    assert "From 2026-11-18 14:00 to 2026-11-18 14:15 UTC, 180 posts." in over.body
    assert "all posts" in compose([an_alert(track="all")], "en", PAGE).title


def test_evidence_that_is_not_there_is_not_told() -> None:
    body = compose([an_alert(evidence=Evidence())], "en", PAGE).body
    assert body.count("\n") == 1


def test_a_digest_tells_each_alert_once_in_its_latest_state() -> None:
    mild, strong = an_alert("mild"), an_alert("strong", severity=9)
    digest = compose([mild, strong, cleared(mild)], "en", PAGE)
    assert digest.title == "Weathervane: 2 alerts"
    first, second, *_ = digest.body.splitlines()
    assert "severity 9" in first
    assert "back to normal" in second
    many = compose([an_alert(f"a{number}") for number in range(30)], "en", PAGE)
    assert "… and 10 more" in many.body
    assert len(many.alerts) == 30


@pytest.mark.parametrize(
    "term",
    [
        "@everyone",
        "<!channel>",
        "[click](http://evil.example)",
        "*bold*\nline",
        "a\u202eb",
        "`code`",
    ],
)
def test_strangers_words_mention_and_mark_up_nothing(term: str) -> None:
    evidence = Evidence(terms=(Term(term, 0.5, 0.0, 9.0),), languages={term: 1.0})
    body = compose([an_alert(evidence=evidence, track=term)], "en", PAGE).body
    assert not set("@<>[]*`\u202e") & set(body.replace(PAGE, ""))
    assert body.count("://") == 1


def test_plain_keeps_words_of_any_script() -> None:
    assert plain("咖啡 #été_2026 😀") == "咖啡 #été_2026 😀"
    assert plain("@@@") == "?"


@pytest.mark.parametrize("most", [40, 100, 2048])
def test_a_message_is_cut_by_bytes_and_keeps_its_link(most: int) -> None:
    body = "\n".join(["喜悦激增，帖子很多" * 3] * 50 + ["https://vane.example.org/"])
    cut = cut_to_bytes(body, most)
    assert len(cut.encode()) <= most
    assert cut.endswith("…\nhttps://vane.example.org/")
    assert cut_to_bytes("short\nlink", most) == "short\nlink"


def test_numbers() -> None:
    assert [percent(value) for value in (0, 0.0004, 0.004, 0.42, 1)] == [
        "0%", "<0.1%", "0.4%", "42%", "100%",
    ]  # fmt: skip
    assert [count(value) for value in (0, 3.0, 3.25, 12.6, 1234567)] == [
        "0", "3", "3.2", "13", "1,234,567",
    ]  # fmt: skip


def test_a_webhook_says_the_same_each_time() -> None:
    message = compose([an_alert()], "en", PAGE)
    body = webhook_body(message)
    assert body == webhook_body(compose([an_alert()], "en", PAGE))
    said = json.loads(body)
    assert said["type"] == "alert.fired"
    assert said["data"]["evidence"]["exemplars"] == ["bluesky:1", "bluesky:2"]
    assert said["link"].startswith(PAGE)
    sample = compose([sample_alert(ONSET)], "en", PAGE, test=True)
    assert json.loads(webhook_body(sample))["type"] == "alert.test"
    assert sample.title.startswith("Weathervane: [TEST] ")


def test_alertmanager_knows_an_alert_by_labels_that_stay() -> None:
    poster = Poster({"team": "brand", "track": "mine"}, "en", PAGE, timedelta(minutes=5))
    now = ONSET + timedelta(minutes=6)
    first, later = an_alert(), updated(an_alert(), 8)
    fired, grown, over, muted = json.loads(
        poster.body([first, later, cleared(later), an_alert(muted=True)], now)
    )
    assert fired["labels"] == grown["labels"] == over["labels"]
    assert fired["labels"]["team"] == "brand"
    assert fired["labels"]["track"] == "coffee"
    assert (fired["startsAt"], fired["endsAt"]) == ("2026-11-18T14:00:00Z", "2026-11-18T14:11:00Z")
    assert over["endsAt"] == muted["endsAt"] == "2026-11-18T14:06:00Z"
    assert grown["annotations"]["severity"] == "8"
    assert fired["generatorURL"].startswith(PAGE)
    early = json.loads(poster.body([first], ONSET - timedelta(hours=1)))[0]
    assert early["startsAt"] < early["endsAt"]


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """The example of the specification, computed by its own words."""
    key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    got = signature("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body, key)
    assert got == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    plain_key = hmac.new(b"plain", b"m.1." + body, hashlib.sha256).digest()
    assert signature("m", 1, body, "plain") == "v1," + base64.b64encode(plain_key).decode()


def test_the_receivers_code_in_the_documentation_verifies_what_is_sent() -> None:
    page = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text(encoding="utf-8")
    code = page.split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 (it is our own page)
    verified = names["verified"]
    now = int(time.time())
    headers = signature_headers("a/1", now, b"{}", "key")
    assert verified(headers, b"{}", b"key")
    assert not verified(headers, b"{ }", b"key")
    assert not verified(headers, b"{}", b"another")
    assert not verified(signature_headers("a/1", now - 301, b"{}", "key"), b"{}", b"key")


def test_a_message_without_a_key_is_named_and_not_signed() -> None:
    assert signature_headers("a/1", 7, b"", None) == {
        "Idempotency-Key": "a/1",
        "webhook-id": "a/1",
        "webhook-timestamp": "7",
    }


@pytest.mark.parametrize("per_minute", [1, 4, 20, 60, 600])
def test_no_minute_holds_more_messages_than_it_may(per_minute: int) -> None:
    now = 1000.0
    sent: list[float] = []
    bucket = TokenBucket(per_minute, now)
    now += 3600
    while len(sent) < 3 * per_minute + 3:
        now += bucket.wait(now)
        bucket.take(now)
        sent.append(now)
    for at in sent:
        assert sum(at <= other < at + 59.999 for other in sent) <= per_minute


def test_a_new_bucket_holds_one_token_and_fills_while_nothing_is_said() -> None:
    bucket = TokenBucket(20, 0.0)
    assert bucket.tokens(0.0) == 1
    bucket.take(0.0)
    assert bucket.wait(0.0) == pytest.approx(4.0)
    assert bucket.tokens(3600.0) == 5


def test_retries_come_later_and_later_up_to_five_minutes() -> None:
    assert [retry_seconds(n) for n in (1, 2, 3, 9, 10, 99)] == [1, 2, 4, 256, 300, 300]


def test_only_what_is_done_is_committed() -> None:
    offsets = Offsets()
    assert offsets.safe("p", 7) == 7
    offsets.begin("p", 7, 2)
    offsets.begin("p", 8, 1)
    offsets.begin("p", 9, 0)
    offsets.done("p", 8)
    offsets.done("p", 7)
    assert offsets.safe("p", 10) == 7
    assert offsets.waiting() == 1
    offsets.done("p", 7)
    assert offsets.safe("p", 10) == 10
    offsets.begin("p", 10, 1)
    offsets.forget("p")
    offsets.done("p", 10)
    assert offsets.safe("p", 11) == 11


def test_an_acknowledgement_is_no_new_change() -> None:
    alert = an_alert()
    by = Acknowledgement("me", ONSET)
    known = msgspec.structs.replace(alert, sequence=2, acknowledged=by)
    assert Change.of(alert) == Change.of(known)
    grown = updated(known, 7)
    assert len({Change.of(alert), Change.of(grown), Change.of(updated(grown, 8))}) == 3
    assert Change.of(cleared(grown)).name == "cleared"


def test_the_board_holds_the_newest_state_and_ranks_the_urgent_first() -> None:
    board = AlertBoard()
    mild, strong = an_alert("mild", severity=2), an_alert("strong", severity=9, track="tea")
    quiet, old = an_alert("quiet", severity=10, muted=True), cleared(an_alert("old"))
    for alert in (old, quiet, mild, strong):
        assert board.put(alert)
    assert not board.put(mild)
    assert [a.id for a in board.select()] == ["strong", "mild", "quiet", "old"]
    assert [a.id for a in board.select(track="tea")] == ["strong"]
    assert [a.id for a in board.select(states=("cleared",))] == ["old"]
    assert board.select(start=ONSET + timedelta(hours=1), states=("cleared",)) == []
    assert board.select(end=ONSET) == []
    _, version = board.changes(0)
    board.put(cleared(strong))
    assert [a.state for a in board.changes(version)[0]] == ["cleared"]
    assert {a.id for a in board.firing()} == {"mild", "quiet"}
    board.remove("mild")
    assert board.get("mild") is None


def test_the_board_forgets_only_what_is_over() -> None:
    board = AlertBoard(cleared_kept=10)
    board.put(an_alert("open"))
    for number in range(30):
        over = cleared(an_alert(f"c{number:02}", onset=ONSET + timedelta(minutes=number)))
        board.put(msgspec.structs.replace(over, updated_at=ONSET + timedelta(hours=number)))
    kept = {alert.id for alert in board.select()}
    assert "open" in kept
    assert "c29" in kept
    assert "c00" not in kept
    assert len(kept) <= 12
