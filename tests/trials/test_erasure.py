"""A post and an author are erased: nothing that names them, or repeats their words, is left where
it could be."""

from __future__ import annotations

import urllib.request
from typing import Any

import msgspec
import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from pipeline.alerts.alert import Evidence
from pipeline.post import encoder
from tests.pipeline.alerts import an_alert
from tests.trials.harness import Fault, Trial, post, record
from tests.trials.oracle import read
from tests.waiting import until

pytestmark = [pytest.mark.trial, pytest.mark.timeout(1200)]
AUTHOR = "author-of-trial-23"
POST = "weathervane:post-of-trial-23"
OTHER = "weathervane:other-of-trial-23"
COMPACTED = ("alerts", "monitor-counts-changelog", "monitor-watches-changelog")


def test_trial_23_erased(trial: Trial) -> None:
    """A post and an author erased; the store built anew; the topics' retention passed."""
    theirs = [f"weathervane:{number}-of-them" for number in range(20)]
    bodies = [post(n, id=name, author={"id": AUTHOR}) for n, name in enumerate(theirs)]
    broken = post(0, id="weathervane:broken-of-them", author={"id": AUTHOR}, text=None)
    copies = [f"weathervane:{number}-of-their-copies" for number in range(5)]
    bodies += [
        post(n, id=name, repost_of=theirs[n], repost_author=f"weathervane:{AUTHOR}")
        for n, name in enumerate(copies)
    ]
    copy, late, again = (f"weathervane:{name}-of-trial-23" for name in ("copy", "late", "again"))
    trial.send_posts(trial.posts // 2)
    trial.send(record(body) for body in bodies)
    trial.send([record(post(1, id=POST)), record(post(2, id=OTHER)), record(broken)])
    trial.send(
        [record(post(4, id=copy, repost_of=POST)), record(post(5, id=again, repost_of=copy))]
    )
    trial.send([record(post(3, id="weathervane:broken-too", text=None))])
    verdict = trial.settle(letters=["weathervane:broken-of-them", "weathervane:broken-too"])
    _alert(trial, [POST, OTHER, theirs[3], copy, copies[0]])
    names = [POST, copy, again, late, AUTHOR, *theirs, *copies, "weathervane:broken-of-them"]
    assert {POST, *theirs} & set(_held(trial, names)), "the store holds some of them"

    said = trial.stack.weathervane("erase", "post", POST).stdout
    assert said.startswith("erased: 3 posts, 0 dead letters, out of the evidence of 1 alerts")
    assert "checked: the store has none of these posts" in said
    author = ("erase", "author", f"weathervane:{AUTHOR}")
    said = trial.stack.weathervane(*author, "--dry-run").stdout
    assert said.startswith("would erase: 25 posts, 1 dead letters, out of the evidence of 1 alerts")
    said = trial.stack.weathervane(*author).stdout
    assert said.startswith("erased: 25 posts, 1 dead letters, out of the evidence of 1 alerts")
    said = trial.stack.weathervane(*author).stdout
    assert said.startswith("erased: 25 posts, 0 dead letters, out of the evidence of 0 alerts")

    trial.send([record(post(6, id=late, repost_of=theirs[7]))])
    scored = verdict.scored + 1
    until(lambda: trial.shown() == scored, "the copy that came late is counted", 120)
    assert _held(trial, names) == []
    trial.store.flushall()
    trial.recovers(Fault(trial, "aggregate"))
    until(lambda: trial.shown() == scored, "what was counted is counted again", 120)
    assert _held(trial, names) == [], "the store was built anew"
    assert not any(name in _page(trial) for name in names)
    alert = msgspec.json.decode(read(trial.kafka, ["alerts"])[-1].value())
    assert alert["evidence"]["exemplars"] == [OTHER]

    _pass_retention(trial)
    topics = [name for name in _admin(trial).list_topics().topics if not name.startswith("__")]
    left = [message for name in topics if name != "alerts" for message in read(trial.kafka, [name])]
    told = {message.topic() for message in left if any(_in(message, name) for name in names)}
    assert told == set()
    logs = "".join(
        file.read_text(errors="replace") for file in sorted((trial.home / "logs").glob("*.log"))
    )
    assert "aggregate" in logs
    assert [name for name in names if name in logs] == []


def _alert(trial: Trial, exemplars: list[str]) -> None:
    """One alert of the past that names posts."""
    alert = an_alert("trial-23", state="cleared", evidence=Evidence(exemplars=tuple(exemplars)))
    producer = Producer({"bootstrap.servers": trial.kafka})
    producer.produce("alerts", encoder.encode(alert), alert.id.encode())
    assert producer.flush(60) == 0


def _held(trial: Trial, names: list[str]) -> list[str]:
    """Those of the names that a key or a value of the store holds."""
    store: Any = trial.store
    readers = {
        "string": lambda key: [store.get(key)],
        "hash": lambda key: [text for pair in store.hgetall(key).items() for text in pair],
        "set": store.smembers,
        "zset": lambda key: store.zrange(key, 0, -1),
        "stream": lambda key: map(str, store.xrange(key)),
    }
    texts = [
        text
        for key in store.scan_iter(count=1000)
        for text in (key, *readers[store.type(key)](key))
    ]
    everything = "\n".join(texts)
    return [name for name in names if name in everything]


def _page(trial: Trial) -> str:
    """All that the API shows of single posts and of alerts."""
    paths = ("posts?track=all&limit=50", "alerts", "alerts/trial-23")
    until(lambda: trial.ready("api"), "the page answers")
    answers = []
    for path in paths:
        with urllib.request.urlopen(f"{trial.page}/api/v1/{path}", timeout=30) as answer:  # noqa: S310
            answers.append(answer.read().decode())
    return "\n".join(answers)


def _admin(trial: Trial) -> AdminClient:
    return AdminClient({"bootstrap.servers": trial.kafka})


def _pass_retention(trial: Trial) -> None:
    """Delete what stands in the topics that keep everything for a while, as their retention does;
    what stands in the compacted ones stays, and so do the dead letters, which are erased at once.
    """
    admin = _admin(trial)
    found = admin.list_topics().topics
    places = [
        TopicPartition(name, number, -1)
        for name, topic in found.items()
        if name not in COMPACTED and not name.startswith("__") and not name.endswith(".dlq")
        for number in topic.partitions
    ]
    for done in admin.delete_records(places).values():
        done.result(60)


def _in(message: Any, name: str) -> bool:
    parts = [message.key() or b"", message.value() or b"", *(v for _, v in message.headers() or ())]
    return any(name.encode() in part for part in parts if part)
