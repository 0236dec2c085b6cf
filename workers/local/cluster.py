"""The whole system on one machine: Kafka, Redis and the workers, behind `up`, `down`, `status`."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from pipeline.addresses import is_same_server, without_password
from pipeline.errors import WeathervaneError
from workers.local import kafka as local_kafka
from workers.local import redis as local_redis
from workers.local import state as states
from workers.local.change import Change
from workers.local.folder import check_room, explained, forget
from workers.local.loops import loop
from workers.local.ports import accepts, reserve
from workers.local.readiness import host_and_port, is_ready, problem_of, report, state_of
from workers.local.specs import Endpoints, WorkerSpec
from workers.local.state import State
from workers.local.supervision import Process, Supervisor

__all__ = ["Cluster", "Endpoints", "WorkerSpec"]

_ANSWERS = {"kafka": local_kafka.answers, "redis": local_redis.answers}
_SERVER_SECONDS = 60
"""Longest wait for Kafka and Redis, in seconds; a Kafka that was killed takes about ten."""
_CRASHES = 3
"""A process that has ended this often before it was ready fails `up`."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """The arguments of `Cluster.up`."""

    workers: Callable[[Endpoints], list[WorkerSpec]]
    prepare: Callable[[Endpoints], None]
    environment: Callable[[Endpoints], dict[str, str]]
    timeout: float
    settings: str


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class Cluster:
    """The servers and workers of one home folder.

    All state is in that folder, so that each command may make a Cluster of its own; `up` and `down`
    of the same folder wait for each other.

    Args:
        home: where data, logs, the supervisor and the chosen ports live.
        kafka: bootstrap servers to use instead of starting Kafka.
        redis: URL to use instead of starting Redis.
        page_port: the port that the page should have.
        say: takes plain lines about what takes long; standard error unless given.
    """

    def __init__(
        self,
        home: Path = Path(".weathervane"),
        *,
        kafka: str | None = None,
        redis: str | None = None,
        page_port: int = 8600,
        say: Callable[[str], None] = _say,
    ) -> None:
        self.home = home.absolute()
        self._given = {"kafka": kafka, "redis": redis}
        self._page_port = page_port
        self._say = say
        self._supervisor = Supervisor(self.home)
        self._state_file = self.home / "state.json"

    def up(
        self,
        workers: Callable[[Endpoints], list[WorkerSpec]],
        prepare: Callable[[Endpoints], None],
        environment: Callable[[Endpoints], dict[str, str]],
        timeout: float = 90.0,
        attached: bool = False,
        *,
        settings: str = "",
    ) -> bool:
        """Start what does not run yet and return once every worker is ready.

        Step 1: ports are chosen, Kafka and Redis started. Step 2: they answer. Step 3: `prepare`
        creates what workers need (topics). Step 4: workers start. Step 5: each is ready.
        Where a step fails, or the user interrupts it, what this call started is ended again.

        Where all of it runs already, only those workers are started anew of which something else
        is asked than before; should one of them not become ready, they are put back.

        Args:
            workers: the workers to run, given the addresses.
            prepare: called once Kafka and Redis answer, whenever `up` is called; idempotent.
            environment: variables added to the environment of all workers.
            timeout: longest wait for step 5, in seconds; for step 2 as well where it is longer.
            attached: end everything when the thread that calls this ends, even by SIGKILL.
            settings: a digest of what else all workers read; with another one they start anew.

        Returns:
            Whether anything was started; False when all of it ran already, or when an attached
            start is left as it is.

        Raises:
            ServerUnavailable: Kafka or Redis cannot be had on this machine.
            WeathervaneError: a server or worker keeps ending or is not ready in time; the text
                ends with the last lines of its log.
        """
        with self._exclusively():
            kept = states.load(self._state_file)
            if kept is not None and self._supervisor.is_running():
                self._refuse_ourselves(kept)
                if kept.attached and not attached:
                    self._say("What runs here was started by a demo, and ends with it.")
                    return False
                if self._has_same_servers(kept) and kept.wishes.keys() == kept.workers.keys():
                    asked = _Asked(workers, prepare, environment, timeout, settings)
                    return self._adapt(kept, asked)
                self._say("Kafka and Redis are to be others than before; starting all of it again.")
            self._supervisor.stop()
            try:
                state, specs = self._start(kept, workers, environment, attached, settings)
                self._complete(state, specs, prepare, timeout)
            except BaseException:
                self._supervisor.stop()
                raise
            return True

    def down(self) -> bool:
        """End all of it, workers first; False when nothing ran. Data, logs and ports are kept."""
        if not self.home.exists():
            return False
        with self._exclusively():
            ran = self._supervisor.is_running()
            self._supervisor.stop()
        return ran

    def wipe(self) -> list[str]:
        """End all of it and delete data, logs and what was remembered; what is left is not ours."""
        with self._exclusively():
            self._supervisor.stop()
            return forget(self.home)

    def restart(self, name: str, timeout: float) -> None:
        """End one process, let it drain, start it again, and return once it is ready.

        Raises:
            WeathervaneError: there is none of that name, or it is not ours, or it is not ready
                in time.
        """
        if not self._supervisor.is_running():
            raise WeathervaneError("nothing runs here: start it with weathervane up")
        with self._exclusively():
            state = self._current()
            if name not in self.names():
                raise WeathervaneError(f"there is no {name}; known are {', '.join(self.names())}")
            if name in _ANSWERS and name not in state.servers:
                address = state.endpoints.kafka if name == "kafka" else state.endpoints.redis
                raise WeathervaneError(
                    f"{name} is {without_password(address)}, which was not started here"
                )
            self._supervisor.restart(name, server=name in state.servers)
            if name in state.servers:
                condition = self._answers(name, state)
            else:
                condition = _readiness(WorkerSpec(name, [], state.workers[name]))
            self._wait({name: condition}, timeout)

    def names(self) -> list[str]:
        """The names of servers and workers, as in `status`."""
        return [*_ANSWERS, *self._current().workers]

    def log(self, name: str) -> Path:
        """Where the output of a process of this name goes."""
        return self._supervisor.log(name)

    def ports(self) -> dict[str, int | None]:
        """The ports of the workers that were started last, by name."""
        return dict(self._current().workers)

    def recall(self) -> dict[str, str]:
        """The variables that the running workers were given; none where nothing runs."""
        return self._supervisor.recall()

    def was_started(self) -> bool:
        """Whether `up` was ever called for this folder."""
        with explained(self.home):
            return states.load(self._state_file) is not None

    def is_a_demo(self) -> bool:
        """Whether what was started last ends with the command that started it."""
        return self._current().attached

    def details(self) -> dict[str, dict[str, Any]]:
        """What `status` does not say of each process that is ours: `up_seconds` and `restarts`,
        and `problem`, why it does not run, as far as its supervisor knows."""
        restarts = self._supervisor.restarts()
        return {
            process.name: {
                "up_seconds": process.up_seconds,
                "restarts": restarts.get(process.name, 0),
                "problem": problem_of(process),
            }
            for process in self._supervisor.processes()
        }

    def status(self) -> dict[str, Any]:
        """What `weathervane status --json` prints.

        `{"kafka", "redis", "page", "workers": {name: {"state", "pid", "port", "ready"}}}`. States:
        running (and ready, where it can tell), starting, backoff (it ended and waits for its next
        start), stopped, failed. `pid` is null where nothing runs or the server is not ours. One
        started three times at the same record has "loop" besides, a sentence.
        """
        state = self._current()
        running = {process.name: process for process in self._supervisor.processes()}
        found = {name: self._server(name, state, running.get(name)) for name in _ANSWERS}
        for name, port in state.workers.items():
            process = running.get(name)
            ready = process is not None and (port is None or is_ready(port))
            found[name] = report(process, port, ready)
            if (why := loop(self._supervisor.log(name))) is not None:
                found[name]["loop"] = why
        return {
            "kafka": state.endpoints.kafka,
            "redis": without_password(state.endpoints.redis),
            "page": state.endpoints.page,
            "workers": found,
        }

    def endpoints(self) -> Endpoints:
        """The addresses of what runs here, or of what ran last, or the usual ones."""
        return self._current().endpoints

    def is_running(self) -> bool:
        """Whether `up` was called and `down` was not."""
        with explained(self.home):
            return self._supervisor.is_running()

    def _current(self) -> State:
        """The state of what runs, or else the one that `up` would start with."""
        with explained(self.home):
            kept = states.load(self._state_file)
        if kept is not None and self._supervisor.is_running():
            return self._with_password(kept)
        fresh = self._wanted(kept)
        fresh.workers = kept.workers if kept is not None else {}
        return fresh

    def _with_password(self, kept: State) -> State:
        """The state with the URL of Redis as it was given, which no file holds."""
        redis = self._given["redis"]
        if redis is None or kept.given_redis is None or not is_same_server(redis, kept.given_redis):
            return kept
        return msgspec.structs.replace(kept, given_redis=redis)

    def _refuse_ourselves(self, kept: State) -> None:
        """A server that was started here is not one to be used in its own place."""
        ends = {"kafka": kept.endpoints.kafka, "redis": kept.endpoints.redis}
        for name in kept.servers:
            given = self._given[name]
            if given is not None and is_same_server(given, ends[name]):
                raise WeathervaneError(
                    f"the settings name {ends[name]}, the {name.capitalize()} that up itself "
                    f"started in this folder: unset WEATHERVANE_{name.upper()}"
                )

    def _has_same_servers(self, kept: State) -> bool:
        before = {"kafka": kept.given_kafka, "redis": kept.given_redis}
        return all(
            (now is None) == (before[name] is None)
            and (now is None or is_same_server(now, before[name] or ""))
            for name, now in self._given.items()
        )

    def _wanted(self, kept: State | None) -> State:
        return State(
            ports=states.wanted_ports(self._page_port, kept),
            page_wanted=self._page_port,
            given_kafka=self._given["kafka"],
            given_redis=self._given["redis"],
        )

    def _start(
        self,
        kept: State | None,
        workers: Callable[[Endpoints], list[WorkerSpec]],
        environment: Callable[[Endpoints], dict[str, str]],
        attached: bool,
        settings: str,
    ) -> tuple[State, list[WorkerSpec]]:
        self._supervisor.clear()
        check_room(self.home)
        state = self._wanted(kept)
        state.ports, reserved = reserve(state.ports)
        try:
            specs, variables = workers(state.endpoints), environment(state.endpoints)
            state.workers = {spec.name: spec.port for spec in specs}
            state.wishes = {spec.name: _wish(spec, variables, settings) for spec in specs}
            state.attached = attached
            servers = {name: self._server_command(name, state.ports) for name in state.servers}
            commands = {spec.name: spec.argv for spec in specs}
            states.save(self._state_file, state)
            self._supervisor.start(servers, commands, variables, reserved, attached)
        finally:
            for descriptor in reserved:
                os.close(descriptor)
        return state, specs

    def _adapt(self, kept: State, asked: _Asked) -> bool:
        """Bring what runs to what is asked for; whether anything had to be started."""
        state = self._with_password(msgspec.structs.replace(kept))
        descriptors: list[int] = []
        if self._page_port != kept.page_wanted:
            state.page_wanted = self._page_port
            page, descriptors = reserve({"page": self._page_port})
            state.ports = kept.ports | page
        try:
            specs = asked.workers(state.endpoints)
            variables = asked.environment(state.endpoints)
            state.workers = {spec.name: spec.port for spec in specs}
            state.wishes = {spec.name: _wish(spec, variables, asked.settings) for spec in specs}
            change = Change.between(kept.wishes, state.wishes)
            if not change:
                return self._complete(state, specs, asked.prepare, asked.timeout)
            self._say(str(change))
            before = self._supervisor.commands(kept.workers), self._supervisor.recall()
            commands = {spec.name: spec.argv for spec in specs}
            try:
                self._supervisor.change(state.servers, commands, variables, change.ended)
                self._complete(state, specs, asked.prepare, asked.timeout)
                states.save(self._state_file, state)
            except BaseException:
                self._say("That failed; the workers are put back to the settings of before.")
                ended = {*change.ended, *change.started}
                self._supervisor.change(state.servers, *before, ended)
                self._supervisor.start_workers()
                raise
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def _server_command(self, name: str, ports: dict[str, int]) -> list[str]:
        folder = self.home / name
        if name == "redis":
            return local_redis.prepare(folder, ports["redis"])
        jars = local_kafka.jars(self._say)
        return local_kafka.prepare(folder, ports["kafka"], ports["controller"], jars)

    def _complete(
        self,
        state: State,
        specs: list[WorkerSpec],
        prepare: Callable[[Endpoints], None],
        timeout: float,
    ) -> bool:
        """Steps 2 to 5 of `up`. Whether workers had to be started."""
        answering = {name: self._answers(name, state) for name in state.servers}
        self._wait(answering, max(_SERVER_SECONDS, timeout))
        prepare(state.endpoints)
        stopped = [each for each in self._supervisor.processes() if each.state == "STOPPED"]
        if stopped:
            self._supervisor.start_workers()
        self._wait({spec.name: _readiness(spec) for spec in specs}, timeout)
        return bool(stopped)

    def _wait(self, conditions: Mapping[str, Callable[[], bool]], timeout: float) -> None:
        """Until each of these processes runs and its condition holds."""
        deadline = time.monotonic() + timeout
        ends: dict[str, set[int]] = {name: set() for name in conditions}
        waiting = list(conditions)
        while waiting:
            processes = {process.name: process for process in self._supervisor.processes()}
            for name in list(waiting):
                process = processes.get(name)
                if process is None:
                    raise WeathervaneError("The supervisor ended while its processes started.")
                if process.stopped_at:
                    ends[name].add(process.stopped_at)
                if state_of(process, conditions[name]()) == "running":
                    waiting.remove(name)
                elif len(ends[name]) >= _CRASHES:
                    raise WeathervaneError(f"{name} keeps ending. {self._last_lines(name)}")
            if waiting and time.monotonic() > deadline:
                problem = f"{waiting[0]} is not ready after {timeout:.0f} s."
                raise WeathervaneError(f"{problem} {self._last_lines(waiting[0])}")
            time.sleep(0.1)

    def _answers(self, name: str, state: State) -> Callable[[], bool]:
        return lambda: _ANSWERS[name](state.ports[name])

    def _last_lines(self, name: str, count: int = 10) -> str:
        path = self._supervisor.log(name)
        text = path.read_text(errors="replace") if path.exists() else ""
        lines = text.rstrip().splitlines()[-count:]
        return "\n".join([f"The last lines of {path}:", *(f"  {line}" for line in lines)])

    def _server(self, name: str, state: State, process: Process | None) -> dict[str, Any]:
        address = state.endpoints.kafka if name == "kafka" else state.endpoints.redis
        host, port = host_and_port(address)
        if name in state.servers:
            return report(process, port, process is not None and self._answers(name, state)())
        reached = accepts(host, port)
        state_word = "running" if reached else "stopped"
        return {"state": state_word, "pid": None, "port": port, "ready": reached}

    @contextmanager
    def _exclusively(self) -> Iterator[None]:
        with explained(self.home):
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
            with (self.home / "up.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield


def _wish(spec: WorkerSpec, variables: Mapping[str, str], settings: str) -> str:
    """Tells a changed wish from the same one without writing down secrets."""
    read = sorted(variables.items()) if spec.settings is None else spec.settings
    wish = json.dumps([spec.argv, spec.port, read, settings])
    return hashlib.sha256(wish.encode()).hexdigest()


def _readiness(spec: WorkerSpec) -> Callable[[], bool]:
    port = spec.port
    return lambda: port is None or is_ready(port)
