"""Ports of 127.0.0.1 for tests."""

import socket


def free_port() -> int:
    """A port that nothing listens on; the system gives each caller another."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port
