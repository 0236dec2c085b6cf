"""notify as a process over real Kafka and Redis, with real receivers, killed where it hurts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from kafka import TopicPartition

from pipeline.alerts.alert import Acknowledgement, Alert
from pipeline.clients import consumer, producer
from pipeline.notify.config import Doubt
from pipeline.notify.ledger import Change, Ledger
from pipeline.notify.signing import signature
from pipeline.settings import PREFIX, Settings
from pipeline.store import connect
from pipeline.topics import ALERTS, create_topics
from tests.pipeline.alerts import ONSET, an_alert, cleared, updated
from tests.waiting import until
from tests.workers.receivers import AlertmanagerReceiver, HttpReceiver, SmtpSink, served, text_of

pytestmark = [pytest.mark.servers, pytest.mark.timeout(900)]
WAIT = 150.0
Publish = Callable[..., None]


@pytest.fixture(scope="module")
def settings(kafka: str, redis_url: str) -> Settings:
    settings = Settings(kafka=kafka, redis=redis_url.replace("/0", "/9"), name="notify-test")
    create_topics(settings)
    return settings


class Process:
    """`weathervane run notify`, and its channels' file."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings = settings
        self.channels = folder / "channels.toml"
        self.log = folder / "log"
        self._running: subprocess.Popen[bytes] | None = None

    def environment(self, **more: str) -> dict[str, str]:
        return os.environ | {
            f"{PREFIX}KAFKA": self._settings.kafka,
            f"{PREFIX}REDIS": self._settings.redis,
            f"{PREFIX}NOTIFY": str(self.channels),
            f"{PREFIX}NOTIFY_SECRETS__KEY": "a key",
        } | more  # fmt: skip

    def start(self, **more: str) -> None:
        command = [sys.executable, "-m", "workers", "run", "notify", "--name", "notify-test"]
        with self.log.open("ab") as out:
            self._running = subprocess.Popen(
                command, env=self.environment(**more), stdout=out, stderr=out
            )

    def kill(self) -> None:
        assert self._running is not None
        self._running.send_signal(signal.SIGKILL)
        self._running.wait(20)

    def stop(self) -> None:
        if self._running is not None and self._running.poll() is None:
            self._running.terminate()
            assert self._running.wait(150) == 0, self.log.read_text()[-3000:]


@pytest.fixture
def process(settings: Settings, tmp_path: Path) -> Iterator[Process]:
    made = Process(settings, tmp_path)
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def publish(settings: Settings) -> Iterator[Publish]:
    with closing(producer(settings)) as sink:

        def publish(*alerts: Alert) -> None:
            for alert in alerts:
                value = msgspec.json.encode(alert)
                sink.send(ALERTS, key=alert.id.encode(), value=value).get(timeout=30)

        yield publish


def waiting(settings: Settings) -> int:
    """Records of `alerts` that notify has not committed."""
    with closing(consumer(settings, None, group_id="notify")) as source:
        numbers = source.partitions_for_topic(ALERTS)
        partitions = [TopicPartition(ALERTS, number) for number in numbers]
        ends = source.end_offsets(partitions)
        return sum(ends[p] - (source.committed(p) or 0) for p in partitions)


def forget_group(settings: Settings) -> None:
    """As before the first start: nothing is committed."""
    admin = AdminClient({"bootstrap.servers": settings.kafka})

    def gone() -> bool:
        for done in admin.delete_consumer_groups(["notify"]).values():
            try:
                done.result(30)
            except KafkaException as error:
                return bool(error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND)
        return True

    until(gone, "nobody is in the group", WAIT)


def unique() -> str:
    return f"a{uuid.uuid4().hex[:10]}"


def webhook(url: str, name: str = "hook", more: str = "") -> str:
    return f'[[channel]]\nname = "{name}"\nkind = "webhook"\nurl = "{url}"\n{more}\n'


def mail(sink: SmtpSink, more: str = "per_minute = 600") -> str:
    return (
        f'[[channel]]\nname = "mail"\nkind = "mail"\nhost = "127.0.0.1"\nport = {sink.port}\n'
        'security = "none"\nfrom = "Vane <vane@example.org>"\nto = ["a@example.org"]\n'
        f"{more}\n"
    )


def test_the_first_start_tells_of_nothing_that_was_over_before(
    process: Process, settings: Settings, publish: Publish
) -> None:
    forget_group(settings)
    hook = HttpReceiver()
    process.channels.write_text(webhook(hook.url, unique(), "per_minute = 6000"))
    over, firing, later = (an_alert(unique()) for _ in range(3))
    grown = updated(firing, 7)
    publish(over, firing, cleared(over), grown)
    with served(hook):
        process.start()
        until(lambda: len(hook.requests) == 2, "what goes on is told", WAIT)
        until(lambda: waiting(settings) == 0, "all is done", WAIT)
        publish(later, cleared(later))
        until(lambda: len(hook.requests) == 4, "and what comes later", WAIT)
    told = [f"{firing.id}/1", f"{firing.id}/2", f"{later.id}/1", f"{later.id}/2"]
    assert sorted(hook.messages()) == sorted(told)


def test_each_change_is_told_once_though_notify_is_killed_twice(
    process: Process, settings: Settings, publish: Publish
) -> None:
    hook, manager, sink = HttpReceiver(), AlertmanagerReceiver(), SmtpSink()
    alert = an_alert(unique(), track=(track := unique()))
    more = f'per_minute = 600\ntracks = ["{track}"]\n'
    grown = updated(alert, 8)
    over = cleared(grown)
    process.channels.write_text(
        webhook(hook.url + "/hook", more=f'key_secret = "key"\n{more}')
        + f'[[channel]]\nname = "am"\nkind = "alertmanager"\nurl = "{manager.url}"\n'
        + f"resolve_minutes = 0.1\n{more}"
        + mail(sink, more)
    )

    def told(count: int) -> bool:
        return len(hook.messages()) == count == len(sink.about(alert.id))

    with served(hook, manager, sink):
        process.start()
        publish(alert)
        until(lambda: told(1), "the alert is told", WAIT)
        until(lambda: manager.turns == [(alert.id, "firing")], "it fires", WAIT)

        # Killed before the mail is sent, and before the webhook's answer came.
        gates = [hook.stall, sink.before_data]
        for gate in gates:
            gate.arm()
        publish(grown)
        until(lambda: all(gate.reached.is_set() for gate in gates), "all stand", WAIT)
        assert not told(2)
        process.kill()
        for gate in gates:
            gate.go_on()
        process.start()
        until(lambda: told(2), "what was not sent is sent", WAIT)

        # Killed after all were taken, before any answer came.
        gates = [hook.stall, sink.after_dot, manager.stall]
        for gate in gates:
            gate.arm()
        publish(over)
        until(lambda: all(gate.reached.is_set() for gate in gates), "all stand again", WAIT)
        process.kill()
        for gate in gates:
            gate.go_on()
        process.start()
        until(lambda: waiting(settings) == 0, "everything is done", WAIT)
        until(lambda: manager.turns[-1] == (alert.id, "resolved"), "it is resolved", WAIT)

        last = an_alert(unique(), track=track)
        publish(last)
        until(lambda: sink.about(last.id) and len(hook.messages()) == 4, "the next is told", WAIT)

        keys = [f"{alert.id}/1", f"{alert.id}/2", f"{alert.id}/3", f"{last.id}/1"]
        assert list(hook.messages()) == keys
        assert len(hook.requests) == 6, "the two that stood are sent once more, by the same name"
        assert [subject.split(" (")[0] for subject in sink.about(alert.id)] == [
            f"Weathervane: Joy spikes in {track}",
            f"Weathervane: Joy in {track} grows to severity 8 of 10",
            f"Weathervane: Joy in {track} is back to normal",
        ]
        assert len({m["Message-ID"] for m in sink.mails}) == 4
        assert manager.turns == [
            (alert.id, "firing"), (alert.id, "resolved"), (last.id, "firing"),
        ]  # fmt: skip
        for _, headers, body in hook.requests:
            named = headers["webhook-id"], int(headers["webhook-timestamp"])
            assert headers["webhook-signature"] == signature(*named, body, "a key")


def test_an_alertmanager_hears_again_of_what_fires_and_of_a_mute(
    process: Process, publish: Publish
) -> None:
    manager = AlertmanagerReceiver()
    alert = an_alert(unique(), track=unique())
    process.channels.write_text(
        f'[[channel]]\nname = "{unique()}"\nkind = "alertmanager"\nurl = "{manager.url}/am/"\n'
        f'resolve_minutes = 0.05\nper_minute = 600\ntracks = ["{alert.track}"]\n'
    )
    with served(manager):
        process.start()
        publish(alert)
        until(lambda: len(manager.requests) >= 4, "it is posted again and again", WAIT)
        assert manager.turns == [(alert.id, "firing")]
        assert {path for path, _, _ in manager.requests} == {"/am/api/v2/alerts"}
        publish(msgspec.structs.replace(alert, sequence=2, muted=True))
        until(lambda: len(manager.turns) == 2, "what is muted is over", WAIT)
        assert manager.turns[1] == (alert.id, "resolved")


def test_filters_mutes_acknowledgements_refusals_and_a_changed_file(
    process: Process, settings: Settings, publish: Publish
) -> None:
    hook, other = HttpReceiver(), HttpReceiver()
    name = unique()
    only_coffee = 'tracks = ["coffee"]\nmin_severity = 4\nper_minute = 6000'
    process.channels.write_text(webhook(hook.url, name, only_coffee))
    wanted = an_alert(unique())
    with served(hook, other):
        process.start()
        hook.answers += [500, 503]
        known = Acknowledgement("me", ONSET)
        publish(
            an_alert(unique(), track="tea"),
            an_alert(unique(), severity=3),
            an_alert(unique(), muted=True),
            wanted,
            msgspec.structs.replace(wanted, sequence=2, acknowledged=known),
        )
        until(lambda: hook.requests, "the refused one comes again", WAIT)
        until(lambda: waiting(settings) == 0, "all is done", WAIT)
        assert list(hook.messages()) == [f"{wanted.id}/1"]
        assert len(hook.requests) == 1

        process.channels.write_text("[[channel]\n")
        until(lambda: "stay in force" in process.log.read_text(), "the fault is named", WAIT)
        publish(second := an_alert(unique()))
        until(lambda: len(hook.requests) == 2, "the channels before it are still told", WAIT)

        process.channels.write_text(webhook(other.url, unique(), only_coffee))
        until(lambda: "channels are now" in process.log.read_text(), "the file is read", WAIT)
        publish(third := an_alert(unique()))
        until(lambda: other.requests, "the new channel is told", WAIT)
        assert list(other.messages()) == [f"{third.id}/1"]
        assert list(hook.messages()) == [f"{wanted.id}/1", f"{second.id}/1"]


class Picky(HttpReceiver):
    """Refuses whatever names one alert."""

    poison = "none"

    def status_of(self, body: bytes) -> int:
        return 500 if self.poison.encode() in body else 200


def test_an_alert_that_is_refused_holds_no_other(process: Process, publish: Publish) -> None:
    hook = Picky()
    bad, good, gone = (an_alert(unique(), track=(track := unique())) for _ in range(3))
    bad, good, gone = (msgspec.structs.replace(a, track=track) for a in (bad, good, gone))
    hook.poison = bad.id
    process.channels.write_text(
        webhook(hook.url, unique(), f'tracks = ["{track}"]\nper_minute = 6000')
    )
    with served(hook):
        process.start()
        publish(bad, updated(bad, 8), good)
        until(lambda: len(hook.requests) == 1, "the other is told", WAIT)
        until(lambda: len(hook.offered) >= 4, "the refused one is tried again", WAIT)
        assert list(hook.messages()) == [f"{good.id}/1"]
        hook.answers += [404]
        hook.poison = "none"
        publish(gone)
        until(lambda: f"{bad.id}/2" in hook.messages(), "it is told in its order", WAIT)
        assert [key for key in hook.messages() if key.startswith(bad.id)] in (
            [f"{bad.id}/1", f"{bad.id}/2"], [f"{bad.id}/2"],
        )  # fmt: skip
        until(lambda: "would refuse that again" in process.log.read_text(), "404 is final", WAIT)


def test_what_waits_for_its_pace_comes_as_one_digest(
    process: Process, settings: Settings, publish: Publish
) -> None:
    sink = SmtpSink()
    process.channels.write_text(mail(sink, f'tracks = ["{(track := unique())}"]\nper_minute = 40'))
    alerts = [an_alert(unique(), track=track, severity=n % 9 + 1) for n in range(12)]
    with served(sink):
        process.start()
        sink.before_data.arm()
        publish(alerts[0])
        until(sink.before_data.reached.is_set, "the first is on its way", WAIT)
        publish(*alerts[1:])
        sink.before_data.go_on()
        until(lambda: waiting(settings) == 0, "all are told", WAIT)
        assert [str(m["Subject"]) for m in sink.mails][1:] == ["Weathervane: 11 alerts"]
        text = text_of(sink.mails[1])
        assert text.count("•") == 11
        assert text.index("severity 9") < text.index("severity 2")


def test_a_chat_that_may_have_been_told_is_not_told_again(
    process: Process, settings: Settings, publish: Publish
) -> None:
    chat = HttpReceiver()
    name = unique()
    process.channels.write_text(
        f'[[channel]]\nname = "{name}"\nkind = "chat"\nurl_secret = "chat"\nlanguage = "zh"\n'
        f'tracks = ["{(track := unique())}"]\n'
    )
    address = chat.url.replace("http://", "json://")
    with served(chat):
        process.start(**{f"{PREFIX}NOTIFY_SECRETS__CHAT": address})
        chat.stall.arm()
        publish(first := an_alert(unique(), track=track))
        until(chat.stall.reached.is_set, "the chat has it", WAIT)
        process.kill()
        chat.stall.go_on()
        process.start(**{f"{PREFIX}NOTIFY_SECRETS__CHAT": address})
        publish(second := an_alert(unique(), track=track))
        until(lambda: len(chat.requests) == 2, "the next is told", WAIT)
        until(lambda: waiting(settings) == 0, "all is done", WAIT)
        links = [body["message"].rsplit("alert=", 1)[1] for body in chat.bodies()]
        assert links == [first.id, second.id]
        assert "喜悦激增" in chat.bodies()[0]["title"]
        assert f"channel {name}: whether alert {first.id}" in process.log.read_text()
        assert address.split("//")[1] not in process.log.read_text()


def test_a_sample_goes_to_each_channel_and_the_command_says_how_it_went(
    process: Process, tmp_path: Path
) -> None:
    hook, sink = HttpReceiver(), SmtpSink()
    process.channels.write_text(
        webhook(hook.url) + webhook("http://127.0.0.1:9", "gone") + mail(sink)
    )

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "workers", "notify", "test", *arguments],
            env=process.environment(),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    with served(hook, sink):
        done = run()
        assert done.returncode == 1
        assert done.stderr.strip() == "weathervane: not delivered: gone"
        states = [line.split()[:2] for line in done.stdout.splitlines()]
        assert states == [["ok", "hook"], ["failed", "gone"], ["ok", "mail"]]
        assert hook.bodies()[0]["type"] == "alert.test"
        assert str(sink.mails[0]["Subject"]).startswith("Weathervane: [TEST] ")
        sink.refuse.add("a@example.org")
        refused = run("--channel", "mail")
        assert refused.returncode == 1
        assert "550" in refused.stdout
        assert run("--channel", "nobody").stderr == (
            "weathervane: there is no channel 'nobody'; there are: hook, gone, mail\n"
        )
        assert len(hook.requests) == 1


def test_a_claim_that_was_taken_over_sends_nothing(settings: Settings) -> None:
    with closing(connect(settings.redis)) as client:
        space = unique()
        old, new = Ledger(client, space), Ledger(client, space)
        changes = [Change("a", "fired"), Change("b", "fired")]
        assert old.claim("c", changes, "skip") == ["claimed", "claimed"]
        assert new.claim("c", changes, "skip") == ["claimed", "claimed"]
        assert not old.sending("c", changes)
        assert new.sending("c", changes)
        assert new.sending("c", changes), "a step may be repeated"
        assert new.end("c", changes, "sending", "delivered")
        assert not old.end("c", changes, "claimed", "failed")
        assert old.claim("c", changes, "repeat") == ["delivered", "delivered"]
        assert old.claim("other", changes, "repeat") == ["claimed", "claimed"]


@pytest.mark.parametrize(("doubt", "said", "then"), [
    ("skip", "unsure", "doubtful"), ("repeat", "repeated", "claimed"),
])  # fmt: skip
def test_doubt_is_what_a_dead_process_left_while_sending(
    settings: Settings, doubt: Doubt, said: str, then: str
) -> None:
    with closing(connect(settings.redis)) as client:
        space, change = unique(), [Change("a", "fired")]
        dead, alive = Ledger(client, space), Ledger(client, space)
        dead.claim("c", change, doubt)
        dead.sending("c", change)
        assert dead.claim("c", change, doubt) == ["claimed"], "it knows what it did"
        dead.sending("c", change)
        assert alive.claim("c", change, doubt) == [said]
        assert alive.claim("c", change, doubt) == [then]
        assert not dead.end("c", change, "sending", "delivered")
