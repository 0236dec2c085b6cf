"""Workers under supervision. Kafka and Redis count as given here, so a start takes no seconds."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import WeathervaneError
from tests.waiting import until
from workers.local.cluster import Cluster, Endpoints, WorkerSpec

READY = """
import http.server, os, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()
    def log_message(self, *args): pass
print("ready as", os.environ["ROLE"], flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""
NEVER_READY = "import time; print('loading the model', flush=True); time.sleep(300)"
BROKEN = "import sys; sys.exit('there is no model in /nowhere')"
DEAF = """
import os, pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork()
if child:
    pathlib.Path(sys.argv[1]).write_text(str(child))
time.sleep(300)
"""


class Home:
    """A cluster of workers only, and what one looks at."""

    def __init__(self, folder: Path) -> None:
        self.cluster = Cluster(folder, kafka="127.0.0.1:1", redis="redis://:secret@127.0.0.1:1/0")
        self.programs: dict[str, str] = {"ingest": READY, "infer-1": READY}
        self.digests: dict[str, str] = {}
        self.prepared = 0

    def up(self, timeout: float = 20.0, settings: str = "", **variables: str) -> bool:
        def workers(endpoints: Endpoints) -> list[WorkerSpec]:
            return [
                WorkerSpec(
                    name,
                    [sys.executable, "-c", program, str(port)],
                    port,
                    self.digests.get(name),
                )
                for (name, program), port in zip(
                    self.programs.items(), endpoints.metrics_ports, strict=False
                )
            ]

        def prepare(endpoints: Endpoints) -> None:
            self.prepared += 1

        environment = {"ROLE": "worker"} | variables
        return self.cluster.up(
            workers, prepare, lambda endpoints: environment, timeout, settings=settings
        )

    def worker(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.cluster.status()["workers"][name]
        return found

    def pids(self) -> dict[str, int]:
        return {name: self.worker(name)["pid"] for name in self.programs}

    @property
    def supervisor(self) -> int:
        return int((self.cluster.home / "run" / "supervisord.lock").read_text())


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path / ".weathervane")
    yield made
    made.cluster.down()


def test_before_the_first_start_all_is_stopped(home: Home) -> None:
    status = home.cluster.status()
    assert status["kafka"] == "127.0.0.1:1"
    assert status["redis"] == "redis://:***@127.0.0.1:1/0"
    assert status["page"].startswith("http://127.0.0.1:")
    assert status["workers"]["kafka"]["state"] == status["workers"]["redis"]["state"] == "stopped"
    assert not home.cluster.down()
    assert not home.cluster.home.exists()


def test_up_returns_when_all_are_ready_and_down_leaves_no_process(home: Home) -> None:
    assert home.up()
    pids = home.pids()
    assert {home.worker(name)["state"] for name in pids} == {"running"}
    assert home.prepared == 1
    for name, pid in pids.items():
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
        assert str(home.worker(name)["port"]) in arguments, "the pid is the worker's own"
    supervisor = home.supervisor

    assert home.cluster.down()
    assert not any(alive(pid) for pid in (*pids.values(), supervisor))
    assert {home.worker(name)["state"] for name in pids} == {"stopped"}
    assert not home.cluster.down()


def test_a_second_up_changes_nothing(home: Home) -> None:
    home.up()
    before = home.pids()
    assert not home.up()
    assert home.pids() == before


def test_two_at_once_start_one(home: Home) -> None:
    results: list[bool] = []
    threads = [threading.Thread(target=lambda: results.append(home.up())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [False, True]


def test_another_worker_joins_those_that_run(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    home.up()
    before, supervisor = home.pids(), home.supervisor
    home.programs["infer-2"] = READY
    assert home.up()
    assert {name: home.pids()[name] for name in before} == before
    assert home.worker("infer-2")["state"] == "running"
    assert "Starting infer-2" in capsys.readouterr().err
    del home.programs["infer-2"]
    assert home.up()
    assert "infer-2" not in home.cluster.status()["workers"]
    assert "Ending infer-2" in capsys.readouterr().err
    assert home.pids() == before
    assert home.supervisor == supervisor
    assert not home.up()


def test_only_a_worker_of_which_something_else_is_asked_starts_anew(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    home.digests = {"ingest": "rules", "infer-1": "one release"}
    home.up(ROLE="before")
    before = home.pids()
    home.digests["infer-1"] = "another release"
    assert home.up(ROLE="s3cret")
    assert home.pids()["ingest"] == before["ingest"]
    assert home.pids()["infer-1"] != before["infer-1"]
    assert "Restarting infer-1; all else runs on." in capsys.readouterr().err
    assert home.cluster.recall() == {"ROLE": "s3cret"}
    log = home.cluster.log("infer-1").read_text().splitlines()
    assert log == ["ready as before", "ready as s3cret"]
    # One that dies comes back with the environment of now.
    os.kill(home.pids()["infer-1"], signal.SIGKILL)
    until(lambda: home.cluster.log("infer-1").read_text().count("s3cret") == 2, "it is back")
    until(lambda: home.cluster.details()["infer-1"]["restarts"] == 1, "the restart was counted")
    assert home.cluster.details()["ingest"]["restarts"] == 0


def test_a_worker_that_does_not_start_with_what_is_asked_now_is_put_back(home: Home) -> None:
    home.up(settings="good")
    before, supervisor = home.pids(), home.supervisor
    home.programs["infer-1"] = BROKEN
    home.programs["infer-2"] = READY
    with pytest.raises(WeathervaneError, match="infer-1 keeps ending"):
        home.up(settings="good", ROLE="another")
    home.programs = {"ingest": READY, "infer-1": READY}
    until(lambda: home.worker("infer-1")["state"] == "running", "it is back")
    assert home.supervisor == supervisor
    assert home.cluster.recall() == {"ROLE": "worker"}
    assert "infer-2" not in home.cluster.status()["workers"]
    assert not home.up(settings="good")
    assert home.pids()["ingest"] != before["ingest"]  # Its environment had changed as well.


def test_a_restart_is_of_one_worker_only(home: Home) -> None:
    home.up()
    before = home.pids()
    home.cluster.restart("ingest", 20)
    assert home.worker("ingest")["state"] == "running"
    assert home.pids()["ingest"] != before["ingest"]
    assert home.pids()["infer-1"] == before["infer-1"]
    assert home.cluster.details()["ingest"]["restarts"] == 0, "it did not end by itself"
    with pytest.raises(WeathervaneError, match=r"there is no infer; known are .*infer-1"):
        home.cluster.restart("infer", 20)
    with pytest.raises(WeathervaneError, match=r"kafka is .*, which was not started here"):
        home.cluster.restart("kafka", 20)
    home.cluster.down()
    with pytest.raises(WeathervaneError, match="nothing runs here"):
        home.cluster.restart("ingest", 20)


def test_a_password_of_a_given_server_is_in_no_file_and_no_reason_to_start_anew(
    home: Home,
) -> None:
    home.up()
    before = home.pids()
    files = [path for path in home.cluster.home.rglob("*") if path.is_file()]
    assert not [path for path in files if b"secret" in path.read_bytes()]
    assert (home.cluster.home / "state.json").stat().st_mode & 0o077 == 0
    assert not home.up()
    assert home.pids() == before


def test_what_workers_read_of_the_environment_counts_as_well(home: Home) -> None:
    home.up(settings="one release")
    before = home.pids()
    assert not home.up(settings="one release")
    assert home.pids() == before
    assert home.up(settings="another release")
    assert not any(alive(pid) for pid in before.values())


def test_a_killed_worker_comes_back(home: Home) -> None:
    home.up()
    before = home.pids()
    os.kill(before["ingest"], signal.SIGKILL)
    until(lambda: home.worker("ingest")["pid"] != before["ingest"], "its end is noticed")
    until(lambda: home.worker("ingest")["state"] == "running", "it is running again")
    assert home.pids()["infer-1"] == before["infer-1"]


def test_a_worker_that_keeps_ending_waits_longer_each_time(home: Home) -> None:
    home.programs["aggregate"] = "import sys; sys.exit(1)"
    with pytest.raises(WeathervaneError):
        home.up()
    log = (home.cluster.home / "logs" / "supervisord.log").read_text()
    assert log.count("exited: aggregate") >= 3


def test_a_killed_supervisor_takes_all_along_and_the_next_up_recovers(home: Home) -> None:
    home.up()
    pids = home.pids()
    os.kill(home.supervisor, signal.SIGKILL)
    until(lambda: not any(alive(pid) for pid in pids.values()), "no worker is left")
    assert home.worker("ingest") | {"port": None} == {
        "state": "stopped",
        "pid": None,
        "port": None,
        "ready": False,
    }
    assert home.up()
    assert home.worker("ingest")["state"] == "running"


def test_a_worker_that_is_never_ready_is_named_with_its_last_lines(home: Home) -> None:
    home.programs["infer-1"] = NEVER_READY
    with pytest.raises(WeathervaneError) as caught:
        home.up(timeout=2)
    assert "infer-1 is not ready after 2 s" in str(caught.value)
    assert str(home.cluster.home / "logs" / "infer-1.log") in str(caught.value)
    assert "loading the model" in str(caught.value)
    assert not home.cluster.is_running()


def test_a_broken_worker_fails_long_before_the_deadline(home: Home) -> None:
    home.programs["infer-1"] = BROKEN
    with pytest.raises(WeathervaneError, match="infer-1 keeps ending") as caught:
        home.up(timeout=110)
    assert "there is no model in /nowhere" in str(caught.value)


def test_a_failing_preparation_leaves_no_process(home: Home) -> None:
    started: list[int] = []

    def prepare(endpoints: Endpoints) -> None:
        started.append(home.supervisor)
        raise WeathervaneError("topics cannot be created")

    with pytest.raises(WeathervaneError, match="topics"):
        home.cluster.up(lambda endpoints: [], prepare, lambda endpoints: {})
    assert not alive(started[0])


def test_the_environment_reaches_the_workers_and_no_file(home: Home) -> None:
    home.up(ROLE="s3cret %(x)s \"'\n;")
    texts = {path: path.read_bytes() for path in home.cluster.home.rglob("*") if path.is_file()}
    assert {path.name for path, text in texts.items() if b"s3cret" in text} == {
        "ingest.log",
        "infer-1.log",
    }


def test_the_folder_is_private(home: Home) -> None:
    home.up()
    assert home.cluster.home.stat().st_mode & 0o077 == 0


def test_a_very_deep_folder_works(tmp_path: Path) -> None:
    home = Home(tmp_path / ("deep-" * 20) / ("100% deeper-" * 8) / ".weathervane")
    try:
        assert home.up()
        assert home.worker("ingest")["state"] == "running"
    finally:
        assert home.cluster.down()


def test_the_page_gets_its_port_or_the_next_free_one(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        cluster = Cluster(
            tmp_path / "home", kafka="127.0.0.1:1", redis="redis://127.0.0.1:1", page_port=port
        )
        cluster.up(lambda endpoints: [], lambda endpoints: None, lambda endpoints: {})
    try:
        chosen = cluster.endpoints().page_port
        assert chosen > port
        assert cluster.status()["page"] == f"http://127.0.0.1:{chosen}"
    finally:
        cluster.down()
    again = Cluster(
        tmp_path / "home", kafka="127.0.0.1:1", redis="redis://127.0.0.1:1", page_port=port
    )
    assert again.endpoints().page_port == chosen, "the choice outlives a restart"


def test_a_broken_state_file_is_replaced(home: Home) -> None:
    home.up()
    home.cluster.down()
    (home.cluster.home / "state.json").write_text('{"ports": ')
    assert home.up()


COMMAND = """
import sys
from pathlib import Path
from workers.local.cluster import Cluster, WorkerSpec
home, attached, program = Path(sys.argv[1]), sys.argv[2] == "attached", sys.argv[3]
def workers(endpoints):
    port = endpoints.metrics_ports[0]
    return [WorkerSpec("ingest", [sys.executable, "-c", program, str(port)], port)]
cluster = Cluster(home, kafka="127.0.0.1:1", redis="redis://127.0.0.1:1")
cluster.up(workers, lambda endpoints: None, lambda endpoints: {"ROLE": "worker"}, 60, attached)
print("up", flush=True)
sys.stdin.read()
"""


def command(folder: Path, attached: str, program: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(folder), attached, program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def recorded(folder: Path) -> list[int]:
    return [int(lock.read_text() or 0) for lock in (folder / "run").glob("*.lock")]


def test_attached_all_ends_with_the_command_even_when_it_is_killed(tmp_path: Path) -> None:
    process = command(tmp_path, "attached", READY)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    pids = recorded(tmp_path)
    assert len(pids) == 2
    assert all(alive(pid) for pid in pids)
    process.kill()
    process.communicate()
    until(lambda: not any(alive(pid) for pid in pids), "nothing is left")


def test_what_is_attached_is_left_as_it_is_by_another_up(tmp_path: Path) -> None:
    process = command(tmp_path, "attached", READY)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    pids = recorded(tmp_path)
    other = command(tmp_path, "-", READY + "\n# asks for something else")
    assert other.stdout is not None
    assert other.stdout.readline() == "up\n"
    assert recorded(tmp_path) == pids
    assert all(alive(pid) for pid in pids)
    for ended in (other, process):
        ended.communicate()
    until(lambda: not any(alive(pid) for pid in pids), "nothing is left")


def test_not_attached_it_outlives_the_command(tmp_path: Path) -> None:
    process = command(tmp_path, "-", READY)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.kill()
    process.communicate()
    cluster = Cluster(tmp_path)
    try:
        assert cluster.status()["workers"]["ingest"]["state"] == "running"
    finally:
        cluster.down()


def test_an_interrupted_up_leaves_no_process(tmp_path: Path) -> None:
    process = command(tmp_path, "-", NEVER_READY)
    until((tmp_path / "run" / "ingest.lock").exists, "the worker was started")
    pids = recorded(tmp_path)
    process.send_signal(signal.SIGINT)
    process.communicate()
    until(lambda: not any(alive(pid) for pid in pids), "nothing is left")
    assert not Cluster(tmp_path).is_running()


def test_a_program_deaf_to_sigterm_is_killed_with_its_children(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.local.supervision._STOP_SECONDS", 1)
    note = home.cluster.home / "child.pid"
    home.cluster.up(
        lambda endpoints: [WorkerSpec("ingest", [sys.executable, "-c", DEAF, str(note)], None)],
        lambda endpoints: None,
        lambda endpoints: {},
    )
    until(lambda: note.exists() and note.read_text(), "it has forked")
    pids = [home.worker("ingest")["pid"], int(note.read_text())]
    assert all(alive(pid) for pid in pids)
    home.cluster.down()
    assert not any(alive(pid) for pid in pids)
