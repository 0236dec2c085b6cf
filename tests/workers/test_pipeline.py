"""The whole way of a post, from outside: real Kafka, real Redis, the real model, a client that is
not ours. One system serves all tests of this file, as a user would have it.
"""

from __future__ import annotations

import base64
import json
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.trials.outside import kind_of
from tests.waiting import until
from tests.workers.stack import Stack

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]
POST = "app.bsky.feed.post"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("stack"))
    stack.weathervane("up")
    yield stack
    stack.weathervane("down")


def canonical(number: int | str, text: str | None = "what a day", **fields: Any) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat()
    return {"id": f"weathervane:{number}", "created_at": now, "text": text} | fields


def jetstream(rkey: str, text: str) -> dict[str, Any]:
    record = {"$type": POST, "text": text, "createdAt": datetime.now(UTC).isoformat()}
    commit = {"operation": "create", "collection": POST, "rkey": rkey, "record": record}
    return {"did": "did:plc:test", "time_us": 1, "kind": "commit", "commit": commit}


def jpeg() -> bytes:
    out = BytesIO()
    Image.effect_noise((300, 200), 80).convert("RGB").save(out, "JPEG")
    return out.getvalue()


def events_of(messages: list[Any]) -> dict[str, dict[str, Any]]:
    return {event["id"]: event for event in (json.loads(m.value()) for m in messages)}


def kinds_of(totals: dict[str, Any]) -> dict[str, int]:
    """The counts of which each post is in one."""
    return {**totals["emotions"], "abstained": totals["abstained"], "unread": totals["unread"]}


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310
        return bytes(answer.read())


def posts_of(totals: dict[str, Any]) -> int:
    return int(totals["all"]["posts"])


def test_posts_come_back_as_events_and_the_totals_grow_by_them(stack: Stack) -> None:
    before = posts_of(stack.totals())
    reader = stack.reader("sentiment")
    stack.produce(
        "posts.raw.weathervane",
        [
            canonical("happy", "I am so happy today!", lang="en", author={"id": "a1"}),
            canonical("angry", "这家店太垃圾了,气死我了!", lang="zh"),
            canonical("picture", None, media=[_inline("image", jpeg())]),
        ],
    )
    stack.produce("posts.raw.bluesky", [jetstream("1", "good morning"), {"kind": "identity"}])
    events = events_of(reader.until(4, 20))
    reader.close()
    happy, angry = events["weathervane:happy"], events["weathervane:angry"]
    assert happy["dominant"] == "joy"
    assert happy["sentiment"] > 0
    assert angry["sentiment"] < 0
    assert max(angry["polarity"], key=angry["polarity"].get) == "negative"
    assert events["weathervane:picture"]["modalities"] == ["image"]
    assert f"bluesky:at://did:plc:test/{POST}/1" in events
    for event in events.values():
        assert abs(sum(event["polarity"].values()) - 1) < 1e-6
        assert all(0 <= p <= 1 for p in event["emotions"].values())
        assert event["tracks"] == ["all"]
        assert "text" not in event
        assert "media" not in event
    assert happy["author"] not in (None, "a1")
    until(lambda: posts_of(stack.totals()) == before + 4, "the totals grew by 4")


def test_a_post_of_which_nothing_is_read_is_counted_and_in_no_emotion(stack: Stack) -> None:
    before = stack.totals()["all"]
    reader = stack.reader("sentiment")
    picture = {"kind": "image", "url": "https://pics.example/1.jpg"}
    silent = {"link": "https://t.co/x", "blank": "\u200b", "repost": "转发微博", "unfetched": None}
    stack.produce(
        "posts.raw.weathervane",
        [
            canonical(name, text, media=[picture] if text is None else [])
            for name, text in silent.items()
        ],
    )
    tweet = {"id_str": "22", "created_at": "Mon Jan 26 10:00:00 +0000 2026"}
    tweet["full_text"] = "RT @newsbot: https://t.co/abcdefghij"
    stack.produce("posts.raw.x", [tweet])
    events = events_of(reader.until(5, 20))
    reader.close()
    assert len(events) == 5
    for event in events.values():
        assert (event["dominant"], event["modalities"], event["abstained"]) == (None, [], True)
    until(lambda: posts_of(stack.totals()) == before["posts"] + 5, "the totals grew by 5")
    after = stack.totals()["all"]
    assert (after["emotions"], after["polarity"]) == (before["emotions"], before["polarity"])
    assert after["unread"] == before["unread"] + 5
    assert after["posts"] == sum(after["emotions"].values()) + after["abstained"] + after["unread"]


def test_an_event_follows_its_post_within_two_seconds(stack: Stack) -> None:
    reader = stack.reader("sentiment")
    stack.produce("posts.raw.weathervane", [canonical("warm")])
    reader.until(1, 20)
    started = time.monotonic()
    stack.produce("posts.raw.weathervane", [canonical("quick")])
    reader.until(2, 20)
    # `status`, which `produce` calls, is in this time as well.
    assert time.monotonic() - started < 10
    reader.close()


def test_what_is_malformed_is_one_dead_letter_each_and_its_neighbours_are_scored(
    stack: Stack,
) -> None:
    reader, letters = stack.reader("sentiment"), stack.reader("posts.raw.weathervane.dlq")
    bad: list[bytes | dict[str, Any]] = [
        b"not json",
        {"created_at": "2026-03-01T12:00:00Z", "text": "no id"},
        canonical("when", created_at="yesterday"),
        canonical("cut", None, media=[_inline("image", jpeg()[:900])]),
        canonical("nothing", None),
    ]
    records = [r for n, b in enumerate(bad) for r in (canonical(f"good{n}"), b)]
    stack.produce("posts.raw.weathervane", records)
    assert set(events_of(reader.until(len(bad), 20))) == {
        f"weathervane:good{n}" for n in range(len(bad))
    }
    reasons = [
        dict(m.headers())["__connect.errors.exception.message"].decode()
        for m in letters.until(len(bad), 20)
    ]
    for said in ("not JSON", "no id", "'yesterday'", "cut off", "nothing to score"):
        assert sum(said in reason for reason in reasons) == 1, reasons
    values = {m.value() for m in letters.messages}
    assert b"not json" in values
    reader.close()
    letters.close()


def test_killed_workers_change_no_total(stack: Stack) -> None:
    before = stack.totals()["all"]
    reader = stack.reader("sentiment")
    ids = [f"kill{n}" for n in range(900)]
    for part, victim in enumerate(("infer", "ingest", "aggregate")):
        stack.produce("posts.raw.weathervane", [canonical(i) for i in ids[part * 300 :][:300]])
        pid = stack.kill(victim)
        stack.wait_running(victim, not_pid=pid, seconds=90)
    # Republished posts are counted once.
    stack.produce("posts.raw.weathervane", [canonical(i) for i in ids[:50]])
    messages = reader.until(len(ids) + 50, 90)
    reader.close()
    events = [json.loads(m.value()) for m in messages]
    assert Counter(e["id"] for e in events) == Counter(
        [f"weathervane:{i}" for i in ids] + [f"weathervane:{i}" for i in ids[:50]]
    )
    recomputed = Counter(kind_of(e) for e in events_of(messages).values())

    def grown() -> Counter[str]:
        return Counter(kinds_of(stack.totals()["all"])) - Counter(kinds_of(before))

    until(lambda: sum(grown().values()) >= len(ids), "all posts are folded", 60)
    assert +grown() == recomputed


def test_every_worker_answers_for_its_health(stack: Stack) -> None:
    status = stack.status()
    for name in ("ingest", "infer", "aggregate", "monitor", "api"):
        base = f"http://127.0.0.1:{status['workers'][name]['port']}"
        assert get(f"{base}/healthz")
        assert get(f"{base}/readyz")
        metrics = get(f"{base}/metrics").decode()
        assert "weathervane_" in metrics
        if name != "api":
            assert f'weathervane_lag_seconds{{stage="{name}"}}' in metrics
            assert f'weathervane_records_total{{outcome="ok",stage="{name}"}}' in metrics


def test_infer_is_not_ready_while_the_model_loads(stack: Stack) -> None:
    port = stack.status()["workers"]["infer"]["port"]
    pid = stack.kill("infer")
    answers: list[tuple[int, bytes]] = []

    def ready() -> bool:
        try:
            answers.append((200, get(f"http://127.0.0.1:{port}/readyz")))
        except urllib.error.HTTPError as error:
            answers.append((error.code, error.read()))
        except OSError:
            return False
        return answers[-1][0] == 200

    until(ready, "infer is ready again", 90)
    stack.wait_running("infer", not_pid=pid)
    code, body = answers[0]
    assert code == 503
    assert b"the model is loading" in body


def test_the_page_and_the_api_tell_the_same_as_the_store(stack: Stack) -> None:
    page = stack.status()["page"]
    assert b"<html" in get(f"{page}/").lower()
    totals = json.loads(get(f"{page}/api/v1/totals?track=all"))
    assert str(posts_of(stack.totals())) in json.dumps(totals)


def shown(stack: Stack, post_id: str) -> bool:
    return post_id in all_shown(stack.status()["page"])


def all_shown(page: str) -> set[str]:
    posts = json.loads(get(f"{page}/api/v1/posts?track=all&limit=50"))["posts"]
    return {post["id"] for post in posts}


def test_a_post_that_is_deleted_or_erased_is_shown_no_more_and_stays_counted(
    stack: Stack,
) -> None:
    before = posts_of(stack.totals())
    published = jetstream("regretted", "I should not say this")
    post_id = f"bluesky:at://did:plc:test/{POST}/regretted"
    author = {"id": "mei"}
    stack.produce("posts.raw.bluesky", [published])
    posts = [canonical(f"mei-{n}", author=author) for n in range(2)] + [canonical("of-another")]
    stack.produce("posts.raw.weathervane", posts)
    until(lambda: posts_of(stack.totals()) == before + 4, "they are counted")
    assert shown(stack, post_id)
    del published["commit"]["record"]
    published["commit"]["operation"] = "delete"
    stack.produce("posts.raw.bluesky", [published])
    until(lambda: not shown(stack, post_id), "it is shown no more")
    said = stack.weathervane("erase", "author", "weathervane:mei").stdout
    assert said.startswith("erased: 2 posts, 0 dead letters")
    assert not shown(stack, "weathervane:mei-1")
    assert shown(stack, "weathervane:of-another")
    assert posts_of(stack.totals()) == before + 4
    for command, name in (("author", "nobody"), ("author", "71"), ("post", "71"), ("post", " ")):
        refused = stack.weathervane("erase", command, name, check=False)
        assert refused.returncode == 2
        assert "platform:ID" in " ".join(refused.stderr.replace("│", " ").split())
    for command in ("author", "post"):
        nothing = stack.weathervane("erase", command, "x:404", check=False)
        assert (nothing.returncode, nothing.stdout) == (1, "")
        assert "nothing of x:404 was found in posts since 20" in nothing.stderr


def tweet(number: int, author: int, **fields: Any) -> dict[str, Any]:
    user = {"id": author, "screen_name": f"handle{author}"}
    # Of now: older ones are not among the newest posts after other tests.
    made = datetime.now(UTC).strftime("%a %b %d %H:%M:%S +0000 %Y")
    return {"id": number, "created_at": made, "full_text": "so sad today", "user": user} | fields


@pytest.mark.timeout(400)
def test_deletions_follow_the_words(stack: Stack) -> None:
    """Of an author, a post, a later version and an account: the copies go as the original does."""
    before = posts_of(stack.totals())
    originals = [tweet(number, 900 + number) for number in range(1, 5)]
    copies = [
        tweet(100 * number + copy, 980 + copy, retweeted_status=originals[number - 1])
        for number in range(1, 5)
        for copy in range(3)
    ]
    # A deletion names the version that it is about, which is not the id here.
    edit = tweet(41, 904, edit_history={"edit_tweet_ids": ["4", "41"]})
    lonely = {"did": "did:plc:leaving", "time_us": 1_772_366_400_000_000}
    post = jetstream("words", "I feel so lonely tonight") | lonely
    post_id = f"bluesky:at://did:plc:leaving/{POST}/words"
    cut = tweet(7, 901, created_at="soon")
    stack.produce("posts.raw.x", [*originals, *copies, cut])
    stack.produce("posts.raw.bluesky", [post])
    until(lambda: posts_of(stack.totals()) == before + 17, "they are counted")
    stack.produce("posts.raw.x", [edit])

    page = stack.status()["page"]

    def left(*numbers: int) -> set[int]:
        held = all_shown(page)
        return {n for n in numbers if f"x:{n}" in held}

    everything = {1, 2, 3, 4} | {copy["id"] for copy in copies}
    assert left(*everything) == everything
    dry = stack.weathervane("erase", "author", "x:901", "--dry-run").stdout
    assert dry.startswith("would erase: 4 posts, 1 dead letters, out of the evidence of 0 alerts")
    assert left(1, 100, 101, 102) == {1, 100, 101, 102}
    said = stack.weathervane("erase", "author", "x:901").stdout
    assert said.startswith("erased: 4 posts, 1 dead letters, out of the evidence of 0 alerts")
    assert "3 repeat the words" in said
    assert "checked: the store has none of these posts" in said
    assert left(1, 100, 101, 102) == set()
    assert stack.weathervane("erase", "post", "x:2").stdout.startswith("erased: 4 posts")
    assert left(2, 200, 201, 202) == set()
    late = tweet(203, 989, retweeted_status=originals[1])
    gone = {"delete": {"status": {"id": 3, "user_id": 903}}}
    edit_gone = {"data": {"delete": {"tweet": {"id": "41"}}}}
    account = lonely | {"kind": "account", "account": {"active": False, "status": "deactivated"}}
    stack.produce("posts.raw.x", [late, gone, edit_gone])
    stack.produce("posts.raw.bluesky", [account])
    until(lambda: posts_of(stack.totals()) == before + 18, "the late copy is counted")
    until(lambda: not left(*everything, 203), "originals and copies are gone")
    until(lambda: post_id not in all_shown(page), "the account is hidden")
    account["account"] = {"active": True}
    stack.produce("posts.raw.bluesky", [account])
    until(lambda: post_id in all_shown(page), "the account is there again")
    account["account"] = {"active": False, "status": "deleted"}
    stack.produce("posts.raw.bluesky", [account])
    until(lambda: post_id not in all_shown(page), "the account is gone")
    assert left(*everything, 203) == set()
    assert posts_of(stack.totals()) == before + 18


def test_send_and_tail(stack: Stack, tmp_path: Path) -> None:
    lines = [json.dumps(canonical(f"sent{n}")) for n in range(3)]
    lines.append(json.dumps(canonical("big", "x" * 2_100_000)))
    file = tmp_path / "posts.jsonl"
    file.write_text("\n".join(lines))
    reader = stack.reader("sentiment")
    done = stack.weathervane("send", str(file), "--platform", "weathervane", check=False)
    assert done.returncode == 1
    assert "line 4 has 2,1" in done.stderr
    assert "Traceback" not in done.stderr
    reader.until(3, 20)
    reader.close()
    tail = stack.weathervane("tail", "sentiment", "--json", "--limit", "3", "--track", "all")
    shown = [json.loads(line)["id"] for line in tail.stdout.splitlines()]
    assert sorted(shown) == [f"weathervane:sent{n}" for n in range(3)]


def test_a_second_up_changes_nothing_and_check_is_content(stack: Stack) -> None:
    before = {name: w["pid"] for name, w in stack.status()["workers"].items()}
    stack.weathervane("up")
    assert {name: w["pid"] for name, w in stack.status()["workers"].items()} == before
    assert "failed" not in stack.weathervane("check").stdout


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ({"RELEASE": "fused-jiont"}, "there is no release fused-jiont"),
        ({"RULES": "rules.toml"}, "rules: cannot read rules.toml"),
        ({"TRACKS": "tracks.toml"}, "tracks: cannot read tracks.toml"),
        ({"NOTIFY": "notify.toml"}, "notify: cannot read notify.toml"),
        ({"DEVICE": "gpu"}, "WEATHERVANE_DEVICE"),
        ({"AUTHOR_SALT_FILE": "salt"}, "author_salt_file: cannot read salt"),
        ({"OVERLOAD": "shed", "OVERLOAD_FULL_SECONDS": "9"}, "more than overload_start_seconds"),
    ],
)
def test_an_up_with_a_slip_in_its_settings_stops_nothing(
    stack: Stack, setting: dict[str, str], problem: str
) -> None:
    before = {name: w["pid"] for name, w in stack.status()["workers"].items()}
    done = stack.weathervane("up", check=False, timeout=180, **setting)
    assert done.returncode != 0
    assert problem in done.stderr
    assert "Traceback" not in done.stderr
    assert {name: w["pid"] for name, w in stack.status()["workers"].items()} == before


def _inline(kind: str, data: bytes) -> dict[str, str]:
    return {"kind": kind, "mime": "image/jpeg", "bytes": base64.b64encode(data).decode()}
