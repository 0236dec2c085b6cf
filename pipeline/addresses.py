"""Addresses of Kafka and Redis as people write them: what is wrong with one, in a sentence.

No sentence here, and nothing that `without_password` returns, holds a part of a password.
"""

from __future__ import annotations

import re

_PORTS = range(1, 65536)
_BROKER = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^\s:/?#@\[\]]+):(?P<port>\d+)")
_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^\s:/?#@\[\]]+)(:(?P<port>\d+))?")
_DATABASE = re.compile(r"/?|/\d+")
_ESCAPES = "a password with /, ?, #, [, ] or % in it is written with %2F, %3F, %23, %5B, %5D, %25"


def checked_servers(servers: str) -> str:
    """The bootstrap servers of Kafka, without spaces and empty places.

    Raises:
        ValueError: with what to write instead.
    """
    named = [server.strip() for server in servers.split(",") if server.strip()]
    if not named:
        raise ValueError("names no server: write HOST:PORT, several with commas between them")
    for server in named:
        _check_server(server)
    return ",".join(named)


def _check_server(server: str) -> None:
    if "@" in server:
        raise ValueError(
            "an address holds no user or password: write HOST:PORT, and set "
            "WEATHERVANE_KAFKA_USERNAME and WEATHERVANE_KAFKA_PASSWORD"
        )
    if "://" in server:
        rest = server.partition("://")[2].rstrip("/")
        raise ValueError(f"{server!r} is a URL: write HOST:PORT, as in {rest or 'kafka:9092'}")
    found = _BROKER.fullmatch(server)
    if found is None:
        hint = " (an IPv6 address stands in brackets)" if server.count(":") > 1 else ""
        has_port = ":" in server and not hint
        problem = "is no HOST:PORT" if has_port or hint else "has no port"
        example = "" if has_port or hint else f", as in {server}:9092"
        raise ValueError(f"{server!r} {problem}: write HOST:PORT{example}{hint}")
    if int(found["port"]) not in _PORTS:
        raise ValueError(f"{server!r} has a port that cannot be: ports go from 1 to 65535")


def checked_redis(url: str) -> str:
    """The URL of Redis, as it is.

    Raises:
        ValueError: with what to write instead.
    """
    scheme, divider, rest = url.strip().partition("://")
    if not divider:
        shown = url.strip().rpartition("@")[2]
        raise ValueError(
            f"{shown!r} is no URL: write redis://HOST:PORT/DATABASE, or rediss:// for TLS"
        )
    if scheme not in ("redis", "rediss"):
        raise ValueError(f"begins with {scheme}://: write redis://, or rediss:// for TLS")
    authority, tail = _split(rest)
    user, at, server = authority.rpartition("@")
    if re.search(r"[\s\[\]]|%(?![0-9A-Fa-f]{2})", user):
        raise ValueError(f"the password cannot be read: {_ESCAPES}")
    found = _HOST.fullmatch(server)
    path, _, after = re.match(r"([^?#]*)(\??)(.*)", tail, re.DOTALL).groups()  # type: ignore[union-attr]
    good = found is not None and _DATABASE.fullmatch(path) is not None and "#" not in after
    if good and found is not None and int(found["port"] or 6379) in _PORTS:
        return url.strip()
    if "@" in tail or at:
        raise ValueError(f"cannot be read: {_ESCAPES}; then come @HOST:PORT/DATABASE")
    if found is None:
        raise ValueError(f"{server!r} is no HOST:PORT: write redis://HOST:PORT/DATABASE")
    if int(found["port"] or 6379) not in _PORTS:
        raise ValueError(f"{server!r} has a port that cannot be: ports go from 1 to 65535")
    raise ValueError(f"{tail!r} is no database: write a number, as in redis://{server}/0")


def _split(rest: str) -> tuple[str, str]:
    """What stands before the path, the query or the fragment, and these."""
    end = min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))
    return rest[:end], rest[end:]


def without_password(address: str) -> str:
    """`address` as it may be shown."""
    scheme, divider, rest = address.partition("://")
    if not divider:
        return address
    authority, tail = _split(rest)
    user, at, server = authority.rpartition("@")
    if "@" in tail:
        # Not an address that is in order: nothing of it is sure to be no password.
        return f"{scheme}://***@{tail.rpartition('@')[2]}"
    name, colon, _ = user.partition(":")
    shown = f"{name}:***" if colon else user
    return f"{scheme}://{shown}{at}{server}{tail}"


def is_same_server(one: str, other: str) -> bool:
    """Whether two addresses name the same servers, whoever signs in."""
    return _servers(one) == _servers(other)


def _servers(address: str) -> set[str]:
    scheme, divider, rest = address.partition("://")
    if not divider:
        return {server.strip().casefold() for server in address.split(",") if server.strip()}
    authority, tail = _split(rest)
    server = authority.rpartition("@")[2].casefold()
    found = _HOST.fullmatch(server)
    host, port = (found["host"], found["port"] or "6379") if found else (server, "")
    database = tail.partition("?")[0].strip("/") or "0"
    return {f"{scheme}://{host}:{port}/{database}"}
