"""One supervisord: its configuration, its start and end, and its word on what runs."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shlex
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pipeline.errors import WeathervaneError
from pipeline.setting_names import PREFIX
from workers.local import launch
from workers.local.memory import WORKERS
from workers.local.ports import private_folder

SERVERS = "servers"
"""The group of Kafka and Redis; workers are the other. Those of a group stop at the same time."""

_STOP_SECONDS = 30
"""From SIGTERM to SIGKILL: a worker drains within this time."""
_START_SECONDS = 60
"""A process that ends sooner than this after its start waits before the next, longer each time."""
_LONGEST_SOCKET = 90
"""Bytes. A Unix socket's path holds about 104, and supervisord appends its pid while it binds."""

_AT_REST = ("STOPPED", "FATAL")
_STOPPABLE = ("STARTING", "RUNNING", "BACKOFF")
"""One that has just EXITED is about to be started again."""

_CONFIG = """\
[unix_http_server]
file={socket}
chmod=0600

[supervisord]
nodaemon=true
silent=true
logfile={logs}/supervisord.log
logfile_maxbytes=10MB
logfile_backups=1
pidfile={home}/supervisord.pid
{user}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[rpcinterface:weathervane]
supervisor.rpcinterface_factory=workers.local.memory:make
"""

_GROUP = """
[group:{group}]
programs={names}
priority={priority}
"""

# It never gives up: a server that is away for an hour is no reason to need a person.
_PROGRAM = """
[program:{name}]
command={command}
autostart={autostart}
autorestart=true
startsecs={start_seconds}
startretries=1000000000
stopwaitsecs={stop_seconds}
killasgroup=true
redirect_stderr=true
stdout_logfile={log}
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=2
"""


@dataclass(frozen=True, slots=True)
class Process:
    """What supervisord says of one process."""

    name: str
    state: str
    """STOPPED, STARTING, RUNNING, BACKOFF, STOPPING, EXITED, FATAL or UNKNOWN."""
    pid: int | None
    stopped_at: int
    """Epoch seconds of its last end; 0 before the first."""
    up_seconds: int | None = None
    """Since its start; None where it does not run."""
    exit_status: int = 0
    """Of its last end; -1 where a signal ended it."""
    problem: str = ""
    """Why it could not be started at all."""


class Supervisor:
    """The supervisord of one home folder. Whether it runs is told by the lock that it holds."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.logs = home / "logs"
        self._run = home / "run"
        self._lock = self._run / "supervisord.lock"
        self._config = home / "supervisord.conf"
        self._socket_name = home / "supervisord.socket-path"

    def is_running(self) -> bool:
        """Whether supervisord, of this or an earlier command, is alive."""
        return launch.is_held(self._lock)

    def log(self, name: str) -> Path:
        """The log of one process: its standard output and standard error."""
        return self.logs / f"{name}.log"

    def start(
        self,
        servers: Mapping[str, Sequence[str]],
        workers: Mapping[str, Sequence[str]],
        environment: Mapping[str, str],
        descriptors: Iterable[int],
        attached: bool,
    ) -> None:
        """Start supervisord and the servers; workers wait for `start_workers`.

        Args:
            servers: command of each, by name.
            workers: likewise.
            environment: added to this process's own for the workers; it is kept in memory alone.
            descriptors: kept open for as long as it lives.
            attached: end, orderly, when the thread that called this ends in whatever way.

        Raises:
            WeathervaneError: it does not start.
        """
        for folder in (self.logs, self._run):
            folder.mkdir(parents=True, exist_ok=True)
        self._write(servers, workers)
        self._socket_name.write_text(str(self._socket_path()))
        daemon = [sys.executable, "-m", "supervisor.supervisord", "-c", str(self._config)]
        with (self.logs / "supervisord.out").open("w") as out:
            child = subprocess.Popen(
                self._launched("supervisord", daemon, "SIGTERM" if attached else "-"),
                env=_without_settings(os.environ),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=tuple(descriptors),
            )
        deadline = time.monotonic() + 20
        while not self._answers():
            if child.poll() is not None or time.monotonic() > deadline:
                said = (self.logs / "supervisord.out").read_text().strip()[-500:]
                raise WeathervaneError(f"supervisord does not start: {said or 'it says nothing'}")
            time.sleep(0.05)
        self._remember(environment)

    def _remember(self, environment: Mapping[str, str]) -> None:
        self._call("remember", json.dumps(dict(environment)), space="weathervane")

    def recall(self) -> dict[str, str]:
        """The variables that the workers were given; none where nothing runs."""
        return self._ask("recall")

    def restarts(self) -> dict[str, int]:
        """How often each process was started again after it had ended by itself."""
        return self._ask("restarts")

    def _ask(self, question: str) -> dict[str, Any]:
        if not self.is_running():
            return {}
        try:
            answer = self._call(question, space="weathervane")
        except (OSError, http.client.HTTPException, xmlrpc.client.Fault):
            # It ended between the two questions, or is that of an earlier version.
            return {}
        found: dict[str, Any] = json.loads(str(answer))
        return found

    def commands(self, names: Iterable[str]) -> dict[str, list[str]]:
        """The commands that these processes were last started with, of those that are known."""
        files = {name: self._run / f"{name}.json" for name in names}
        return {name: json.loads(file.read_text()) for name, file in files.items() if file.exists()}

    def change(
        self,
        servers: Iterable[str],
        workers: Mapping[str, Sequence[str]],
        environment: Mapping[str, str],
        ended: Iterable[str],
    ) -> None:
        """Make `workers` the workers, stopped where they are among `ended` or new.

        Args:
            servers: names of the servers, which run on.
            workers: command of each, by name.
            environment: given to all that start from now on.
            ended: workers that are drained and ended first.

        Raises:
            WeathervaneError: one of them does not end.
        """
        self.end(ended)
        self._write(self.commands(servers), workers)
        self._call("rearrange", space="weathervane")
        self._remember(environment)

    def end(self, names: Iterable[str], group: str = WORKERS) -> None:
        """End these processes of a group, all at once; returns when they have ended.

        Raises:
            WeathervaneError: one of them does not end.
        """
        waiting = set(names)
        deadline = time.monotonic() + _STOP_SECONDS + 10
        while waiting:
            states = {process.name: process.state for process in self.processes()}
            waiting = {name for name in waiting if states.get(name, "STOPPED") not in _AT_REST}
            for name in waiting:
                if states[name] in _STOPPABLE:
                    with contextlib.suppress(xmlrpc.client.Fault):
                        self._call("stopProcess", f"{group}:{name}", False)
            if waiting and time.monotonic() > deadline:
                raise WeathervaneError(f"{min(waiting)} does not end; see {self.log(min(waiting))}")
            time.sleep(0.05)

    def restart(self, name: str, server: bool) -> None:
        """End one process and start it again; returns once it was started."""
        group = SERVERS if server else WORKERS
        self.end([name], group)
        self._call("startProcess", f"{group}:{name}", False)

    def start_workers(self) -> None:
        """Start the workers that do not run; returns at once."""
        self._call("startProcessGroup", WORKERS, False)

    def processes(self) -> list[Process]:
        """All processes, none when supervisord does not run."""
        if not self.is_running():
            return []
        try:
            infos = cast(list[dict[str, Any]], self._call("getAllProcessInfo"))
        except (OSError, http.client.HTTPException):
            # It ended between the two questions.
            return []
        return [
            Process(
                info["name"],
                info["statename"],
                info["pid"] or None,
                info["stop"],
                info["now"] - info["start"] if info["pid"] else None,
                info["exitstatus"],
                info["spawnerr"],
            )
            for info in infos
        ]

    def stop(self) -> None:
        """End workers, then servers, then supervisord: by SIGTERM, after the grace by SIGKILL."""
        if self.is_running():
            with contextlib.suppress(OSError, http.client.HTTPException, xmlrpc.client.Fault):
                self._call("shutdown")
            deadline = time.monotonic() + 2 * _STOP_SECONDS + 10
            while self.is_running() and time.monotonic() < deadline:
                time.sleep(0.05)
        self.clear()

    def clear(self) -> None:
        """End whatever an earlier supervisord left behind, itself included, and its socket."""
        locks = sorted(self._run.glob("*.lock"), key=lambda lock: lock != self._lock)
        for lock in locks:
            launch.end(lock)
        deadline = time.monotonic() + 10
        for lock in locks:
            while launch.is_held(lock):
                if time.monotonic() > deadline:
                    raise WeathervaneError(f"process {lock.read_text()} cannot be ended")
                time.sleep(0.02)
        if self._socket_name.exists():
            Path(self._socket_name.read_text()).unlink(missing_ok=True)

    def _write(
        self, servers: Mapping[str, Sequence[str]], workers: Mapping[str, Sequence[str]]
    ) -> None:
        self._config.write_text(self._configuration(servers, workers))

    def _configuration(
        self, servers: Mapping[str, Sequence[str]], workers: Mapping[str, Sequence[str]]
    ) -> str:
        parts = [
            _CONFIG.format(
                home=_plain(self.home),
                logs=_plain(self.logs),
                socket=_plain(self._socket_path()),
                user="user=root" if os.getuid() == 0 else "",
            )
        ]
        # Servers start first and stop last.
        for priority, (group, programs) in enumerate(((SERVERS, servers), (WORKERS, workers)), 1):
            if programs:
                names = ",".join(programs)
                parts.append(_GROUP.format(group=group, names=names, priority=priority))
            parts += [
                self._program(name, argv, autostart=group == SERVERS)
                for name, argv in programs.items()
            ]
        return "".join(parts)

    def _socket_path(self) -> Path:
        beside = self.home / "supervisord.sock"
        if len(os.fsencode(beside)) <= _LONGEST_SOCKET:
            return beside
        inode = self.home.stat()
        return private_folder() / f"{inode.st_dev:x}-{inode.st_ino:x}.sock"

    def _program(self, name: str, argv: Sequence[str], autostart: bool) -> str:
        return _PROGRAM.format(
            name=name,
            command=_plain(shlex.join(self._launched(name, argv, "SIGKILL"))),
            autostart=str(autostart).lower(),
            start_seconds=_START_SECONDS,
            stop_seconds=_STOP_SECONDS,
            # supervisord expands this one value twice.
            log=_plain(_plain(self.log(name))),
        )

    def _launched(self, name: str, argv: Sequence[str], with_signal: str) -> list[str]:
        # The arguments go through a file: in supervisord's own format they would need escapes.
        (self._run / f"{name}.json").write_text(json.dumps(list(argv)))
        # -I -S: no site-packages and no folder on the path, so it starts in 10 ms.
        return [sys.executable, "-I", "-S", launch.__file__, str(self._run), name, with_signal]

    def _answers(self) -> bool:
        try:
            self._call("getState")
        except (OSError, http.client.HTTPException):
            return False
        return True

    def _call(self, method: str, *arguments: object, space: str = "supervisor") -> object:
        from supervisor.xmlrpc import SupervisorTransport

        address = f"unix://{self._socket_name.read_text()}"
        transport = SupervisorTransport(None, None, address)
        with xmlrpc.client.ServerProxy("http://localhost", transport=transport) as proxy:
            return getattr(getattr(proxy, space), method)(*arguments)


def _without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """What is not ours: settings reach the workers through `remember`, and change with it."""
    return {
        name: value for name, value in environment.items() if not name.upper().startswith(PREFIX)
    }


def _plain(text: object) -> str:
    """`text` as a value of supervisord's configuration, where % begins an expansion."""
    return str(text).replace("%", "%%")
