"""docker-compose.yml: valid, in step with the settings, and every command and health check runs."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft201909Validator

from pipeline.settings import PREFIX, Settings
from tests.waiting import until

ROOT = Path(__file__).parents[2]
FILES = [ROOT / "docker-compose.yml", ROOT / "deploy" / "docker-compose.gpu.yml"]
SCHEMA = json.loads((Path(__file__).parent / "compose-spec.json").read_text())
COMPOSE = yaml.safe_load(FILES[0].read_text())
WORKERS = ["ingest", "infer", "aggregate", "monitor", "notify", "api"]


def problems(document: object) -> list[str]:
    return [error.message for error in Draft201909Validator(SCHEMA).iter_errors(document)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_file_follows_the_compose_specification(path: Path) -> None:
    assert problems(yaml.safe_load(path.read_text())) == []


def test_the_schema_refuses_a_mistake() -> None:
    service = COMPOSE["services"]["ingest"] | {"depend_on": ["kafka"]}
    assert problems({"services": {"ingest": service}})


def test_every_dependency_and_every_mounted_file_exists() -> None:
    for service in COMPOSE["services"].values():
        assert set(service.get("depends_on", {})) <= set(COMPOSE["services"])
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in COMPOSE["volumes"] or (ROOT / source).is_file()
        if "build" in service:
            assert (ROOT / service["build"]["dockerfile"]).is_file()


def test_every_variable_is_a_setting() -> None:
    given = {name for role in WORKERS for name in COMPOSE["services"][role]["environment"]}
    known = {f"{PREFIX}{field.upper()}" for field in Settings.model_fields}
    assert given <= known


def test_everything_is_published_on_loopback_only() -> None:
    ports = [port for each in COMPOSE["services"].values() for port in each.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_prometheus_scrapes_every_worker_at_its_port() -> None:
    jobs = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text())["scrape_configs"]
    scraped = {
        (name, str(found["port"]))
        for job in jobs
        for found in job.get("dns_sd_configs", [])
        for name in found["names"]
    }
    scraped |= {
        tuple(target.split(":"))
        for job in jobs
        for found in job.get("static_configs", [])
        for target in found["targets"]
    }
    assert scraped == {(role, port_of(COMPOSE["services"][role])) for role in WORKERS}


def port_of(service: dict[str, Any]) -> str:
    command: list[str] = service["command"]
    return command[command.index("--port") + 1]


@pytest.fixture(scope="module")
def environment(kafka: str, redis_url: str) -> dict[str, str]:
    """What the containers get, with this machine's addresses; the topics exist."""
    found = os.environ | {f"{PREFIX}KAFKA": kafka, f"{PREFIX}REDIS": redis_url}
    create = [sys.executable, "-m", "workers", *COMPOSE["services"]["topics"]["command"]]
    subprocess.run(create, env=found, check=True, stdout=subprocess.DEVNULL)
    return found


@pytest.mark.parametrize("role", WORKERS)
def test_the_command_runs_until_its_health_check_passes(
    role: str, environment: dict[str, str], tmp_path: Path
) -> None:
    service = COMPOSE["services"][role]
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    command = [port if part == port_of(service) else part for part in service["command"]]
    check = service["healthcheck"]["test"]
    assert check[:3] == ["CMD", "python", "-c"]
    asked = check[3].replace(port_of(service), port).replace("//api:", "//127.0.0.1:")

    def is_healthy() -> bool:
        assert worker.poll() is None, log.read_text()[-2000:]
        done = subprocess.run([sys.executable, "-c", asked], stderr=subprocess.DEVNULL, check=False)
        return done.returncode == 0

    log = tmp_path / "log"
    with log.open("w") as out:
        worker = subprocess.Popen(
            [sys.executable, "-m", "workers", *command],
            env=environment,
            cwd=tmp_path,
            stdout=out,
            stderr=out,
        )
    try:
        until(is_healthy, f"{role} is healthy", 100)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as metrics:
            assert b"weathervane_" in metrics.read()
    finally:
        worker.terminate()
        # uvicorn ends by the signal that it was sent, once it has shut down.
        assert worker.wait(timeout=30) in (0, -signal.SIGTERM)
