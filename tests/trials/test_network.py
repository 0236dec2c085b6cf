"""Workers that are cut off from the broker, in a network namespace of their own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import pytest

from pipeline.settings import PREFIX
from tests.trials.flow import repeating
from tests.trials.harness import WORKERS, Fault, Trial
from tests.waiting import until
from workers.local.readiness import host_and_port

pytestmark = [pytest.mark.trial, pytest.mark.timeout(3600)]
CUT_SECONDS = 60
RESTART_SECONDS = 2
"""Until a worker that has ended is started again."""
TAKEOVER_SECONDS = 180
"""The session (10 s) and a transaction that was left open (30 s), on a busy machine."""
_NETWORK = f"10.213.{os.getpid() % 256}"
"""Another for each run: two that go on at once must not answer each other's packets."""
OUTSIDE, INSIDE = f"{_NETWORK}.1", f"{_NETWORK}.2"
STORE, STORE_INSIDE = f"{_NETWORK}.5", f"{_NETWORK}.6"


class Link:
    """The way to the broker out of the namespace: a pair of virtual Ethernet devices."""

    def __init__(self, namespace: str, name: str) -> None:
        self.namespace = namespace
        self.outside, self.inside = f"{name}o", f"{name}i"

    @contextmanager
    def cut(self, to_broker: bool, from_broker: bool) -> Iterator[None]:
        """Drop every packet for the block, without a word to either side.

        A queue with room for none drops all that is sent through its device (tc-pfifo(8)).
        """
        ends: list[list[str]] = []
        if to_broker:
            ends.append(["tc", "-n", self.namespace, "qdisc", "{}", "dev", self.inside, "root"])
        if from_broker:
            ends.append(["tc", "qdisc", "{}", "dev", self.outside, "root"])
        for end in ends:
            _run(*(part.format("replace") for part in end), "pfifo", "limit", "0")
        try:
            yield
            for end in ends:
                shown = [part.format("show") for part in end if part != "root"]
                shown.insert(1, "-s")
                assert "dropped 0," not in _run(*shown), "no packet was dropped"
        finally:
            for end in ends:
                _run(*(part.format("delete") for part in end))


@pytest.mark.environment(DEVICE_TIMEOUT_SECONDS=120)
def test_trial_11_cut_off(trial: Trial) -> None:
    """Ingest, infer and aggregate lose the broker for 60 s: both ways, only to it, only from it."""
    portion = max(1, trial.posts // 12)
    with _namespace() as link, _reachable(trial) as variables:
        with ExitStack() as stack:
            for role in WORKERS:
                stack.enter_context(_worker(trial, link.namespace, role, variables))
            for to_broker, from_broker in ((True, True), (True, False), (False, True)):
                for role in WORKERS:
                    until(partial(_shares, trial, role), f"two {role} share", TAKEOVER_SECONDS)
                _cut(trial, link, to_broker, from_broker, portion)
            for role in WORKERS:
                until(partial(_shares, trial, role), f"two {role} share", TAKEOVER_SECONDS)
            trial.send_posts(portion)
        trial.settle()


def _cut(trial: Trial, link: Link, to_broker: bool, from_broker: bool, portion: int) -> None:
    trial.send_posts(portion)
    with link.cut(to_broker, from_broker):
        began = time.monotonic()
        trial.send_posts(portion)
        for role in WORKERS:
            until(
                partial(_alone, trial, role),
                f"the group of {role} has given up the one that is cut off",
                TAKEOVER_SECONDS,
            )
        faults = [Fault(trial, role) for role in WORKERS]
        trial.send_posts(portion)
        for fault in faults:
            fault.at = began
            trial.recovers(fault, TAKEOVER_SECONDS)
        time.sleep(max(0.0, CUT_SECONDS - (time.monotonic() - began)))


def _shares(trial: Trial, role: str) -> bool:
    members = trial.members(role)
    return len(members) == 2 and min(members.values()) > 0


def _alone(trial: Trial, role: str) -> bool:
    return set(trial.members(role)) == {f"{role}-{role}"}


@contextmanager
def _namespace() -> Iterator[Link]:
    """A namespace with two ways out: one to the broker, one to the store."""
    for tool in ("ip", "tc"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} (iproute2) is not installed")
    name = f"wv{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        pytest.skip(f"network namespaces are not permitted here: {made.stderr.strip()}")
    links = [Link(name, f"{name}{kind}") for kind in "bs"]
    try:
        for link, outer, inner in zip(links, (OUTSIDE, STORE), (INSIDE, STORE_INSIDE), strict=True):
            pair = ["type", "veth", "peer", "name", link.inside, "netns", name]
            _run("ip", "link", "add", link.outside, *pair)
            _run("ip", "address", "add", f"{outer}/30", "dev", link.outside)
            _run("ip", "link", "set", link.outside, "up")
            _run("ip", "-n", name, "address", "add", f"{inner}/30", "dev", link.inside)
            _run("ip", "-n", name, "link", "set", link.inside, "up")
        _run("ip", "-n", name, "link", "set", "lo", "up")
        yield links[0]
    finally:
        # Its devices go with it, and their peers with them.
        _run("ip", "netns", "delete", name)


@contextmanager
def _reachable(trial: Trial) -> Iterator[dict[str, str]]:
    """Give Kafka and Redis an address on the links; the variables of workers in the namespace."""
    properties = trial.home / "kafka" / "server.properties"
    port = host_and_port(trial.kafka)[1] + 20_000
    text = properties.read_text()
    local = f"PLAINTEXT://{trial.kafka}"
    properties.write_text(
        text.replace(local, f"{local},LINK://{OUTSIDE}:{port}")
        + "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,LINK:PLAINTEXT\n"
        + "inter.broker.listener.name=PLAINTEXT\n"
    )
    trial.control("stopProcess", "servers:kafka", True)
    trial.control("startProcess", "servers:kafka", False)
    until(lambda: trial.ready("kafka"), "Kafka answers", TAKEOVER_SECONDS)
    trial.store.config_set("bind", f"127.0.0.1 {STORE}")
    trial.store.config_set("protected-mode", "no")
    try:
        yield {
            f"{PREFIX}KAFKA": f"{OUTSIDE}:{port}",
            f"{PREFIX}REDIS": trial.redis.replace("127.0.0.1", STORE),
            f"{PREFIX}AUTHOR_SALT_FILE": str(trial.home / "author_salt"),
        }
    finally:
        trial.store.config_set("protected-mode", "yes")
        trial.store.config_set("bind", "127.0.0.1")


@contextmanager
def _worker(trial: Trial, namespace: str, role: str, variables: dict[str, str]) -> Iterator[None]:
    """A second worker of the role, inside the namespace; at the end it is drained.

    One that ends is started again, as its supervisor would.
    """
    command = [sys.executable, "-m", "workers", "run", role, "--name", "other", "--port", "0"]
    log = trial.home / "logs" / f"{role}-other.log"

    def start() -> subprocess.Popen[bytes]:
        with log.open("ab") as out:
            return subprocess.Popen(
                ["ip", "netns", "exec", namespace, *command],
                cwd=trial.stack.folder,
                env=os.environ | variables,
                stdout=out,
                stderr=out,
            )

    started = [start()]

    def keep() -> None:
        if started[-1].poll() is not None:
            started.append(start())

    try:
        with repeating(keep, RESTART_SECONDS):
            until(lambda: _shares(trial, role), f"two {role} share the partitions", 600)
            yield
        trial.row.fault += f"; {role} ended {len(started) - 1}×"
        started[-1].send_signal(signal.SIGTERM)
        assert started[-1].wait(60) == 0
    finally:
        started[-1].kill()
        started[-1].wait()


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (command, done.stderr)
    return done.stdout
