"""Ports: the usual ones, free ones where those are taken, one owner each."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from workers.local.ports import reserve


@contextmanager
def listening(host: str) -> Iterator[int]:
    with socket.create_server((host, 0)) as server:
        yield server.getsockname()[1]


def free_port() -> int:
    with listening("127.0.0.1") as port:
        return port


def release(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def test_the_wanted_port_is_kept_when_it_is_free() -> None:
    port = free_port()
    ports, held = reserve({"kafka": port})
    release(held)
    assert ports == {"kafka": port}


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])  # noqa: S104 (the case to test)
def test_a_foreign_listener_means_another_port(host: str) -> None:
    with listening(host) as taken:
        ports, held = reserve({"kafka": taken})
    release(held)
    assert ports["kafka"] > taken


def test_two_reservations_never_share_a_port_that_nobody_listens_on_yet() -> None:
    wanted = {"kafka": free_port()}
    first, first_held = reserve(wanted)
    second, second_held = reserve(wanted)
    release(first_held)
    third, third_held = reserve(wanted)
    release(second_held + third_held)
    assert first["kafka"] != second["kafka"]
    assert third == first


def test_a_substitute_is_not_another_names_wish() -> None:
    with listening("127.0.0.1") as taken:
        ports, held = reserve({"kafka": taken, "controller": taken + 1})
    release(held)
    assert ports["kafka"] > taken + 1
    assert ports["controller"] != ports["kafka"]
