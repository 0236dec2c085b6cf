"""Fixtures of all tests: one real Kafka and one real Redis a session."""

pytest_plugins = ["tests.servers"]
