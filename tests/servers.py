"""One real Kafka and one real Redis for a whole test session, by the code that `up` runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from workers.local.cluster import Cluster, Endpoints


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoints]:
    """Addresses of both; they end with the session, even when that is killed."""
    cluster = Cluster(tmp_path_factory.mktemp("servers"))
    cluster.up(
        workers=lambda endpoints: [],
        prepare=lambda endpoints: None,
        environment=lambda endpoints: {},
        attached=True,
    )
    yield cluster.endpoints()
    cluster.down()


@pytest.fixture(scope="session")
def kafka(servers: Endpoints) -> str:
    """Bootstrap servers of a real Kafka without topics."""
    return servers.kafka


@pytest.fixture(scope="session")
def redis_url(servers: Endpoints) -> str:
    """URL of a real Redis; a test that needs it empty takes a database or a prefix of its own."""
    return servers.redis
