"""Whether something stands behind an address, and what: told apart within 5 s.

A client library says "no brokers available" of a misspelt name, a closed port, a web server and a
broker that stands still alike. Here each has a sentence of its own.
"""

from __future__ import annotations

import queue
import socket
import ssl
import struct
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from pipeline.errors import ServerUnavailable
from pipeline.settings import PREFIX, Settings

NAME_SECONDS = 2.0
CONNECT_SECONDS = 1.5
ANSWER_SECONDS = 1.5
_CORRELATION = 0x57565741
_WEB_REQUEST = b"GET / HTTP/1.0\r\n\r\n"
"""A web server answers it, and so does Redis, with an error."""

Address = tuple[str, int]


def kafka_addresses(settings: Settings) -> list[Address]:
    """The bootstrap servers; settings hold none that is no `host:port`."""
    pairs = (server.strip().rpartition(":") for server in settings.kafka.split(","))
    return [(host.strip("[]"), int(port)) for host, _, port in pairs]


def redis_address(settings: Settings) -> Address:
    """Where the store listens; settings hold no other address than one of a Redis."""
    parts = urlsplit(settings.redis)
    return parts.hostname or "", parts.port or 6379


def reach(address: Address) -> socket.socket:
    """A connection to the address.

    Raises:
        ServerUnavailable: with which step failed.
    """
    host, port = address
    name = f"{host}:{port}"
    failure: OSError | None = None
    for family, *_, place in _resolved(host, port):
        found = socket.socket(family, socket.SOCK_STREAM)
        found.settimeout(CONNECT_SECONDS)
        try:
            found.connect(place)
        except OSError as error:
            found.close()
            failure = error
            continue
        found.settimeout(ANSWER_SECONDS)
        return found
    if isinstance(failure, TimeoutError):
        raise ServerUnavailable(
            f"{name} cannot be reached: no answer within {CONNECT_SECONDS:g} s (a firewall, or a "
            "host that is down)"
        )
    if isinstance(failure, ConnectionRefusedError):
        raise ServerUnavailable(f"nothing listens at {name}")
    raise ServerUnavailable(f"{name} cannot be reached: {failure and failure.strerror}")


def reach_kafka(settings: Settings, addresses: Sequence[Address]) -> list[ServerUnavailable]:
    """Ask every bootstrap server at once; why those that are no Kafka are none.

    Raises:
        ServerUnavailable: none of them is.
    """
    with ThreadPoolExecutor(len(addresses)) as pool:
        answers = list(pool.map(lambda address: _no_kafka(settings, address), addresses))
    wrong = [why for why in answers if why is not None]
    if len(wrong) == len(addresses):
        raise wrong[0]
    return wrong


def _no_kafka(settings: Settings, address: Address) -> ServerUnavailable | None:
    try:
        answer = _asked(settings, address)
        if not answer:
            answer = _asked_as_web(address)
    except ServerUnavailable as error:
        return error
    except ssl.SSLError as error:
        # Its certificate is for the client to judge; here only whether it speaks TLS at all.
        plain = error.reason in {"WRONG_VERSION_NUMBER", "UNEXPECTED_EOF_WHILE_READING"}
        return _not_kafka(settings, address, b"plain") if plain else None
    except OSError:
        answer = b""
    return _not_kafka(settings, address, answer)


def _asked(settings: Settings, address: Address) -> bytes:
    """The first bytes that come back to Kafka's ApiVersions; nothing where none come."""
    client = b"weathervane-check\r\n\r\n"
    body = struct.pack(f">hhih{len(client)}s", 18, 0, _CORRELATION, len(client), client)
    with reach(address) as plain:
        channel = plain
        if settings.kafka_security.endswith("SSL"):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            channel = context.wrap_socket(plain)
        try:
            channel.sendall(struct.pack(">i", len(body)) + body)
            return channel.recv(16)
        except TimeoutError:
            return b""


def _asked_as_web(address: Address) -> bytes:
    """What a server that did not answer as Kafka says to a web request; b"silent" if nothing."""
    with reach(address) as channel:
        try:
            channel.sendall(_WEB_REQUEST)
            return channel.recv(16) or b"closed"
        except TimeoutError:
            return b"silent"


def _not_kafka(settings: Settings, address: Address, answer: bytes) -> ServerUnavailable | None:
    name = f"{address[0]}:{address[1]}"
    if len(answer) >= 8 and struct.unpack(">i", answer[4:8])[0] == _CORRELATION:
        return None
    if answer == b"plain":
        why = f"does not speak TLS, and {PREFIX}KAFKA_SECURITY is {settings.kafka_security}"
    elif answer.startswith((b"\x15\x03", b"\x16\x03")):
        why = f"expects TLS; set {PREFIX}KAFKA_SECURITY to SSL or SASL_SSL"
    elif answer.startswith((b"HTTP/", b"<")):
        why = "is a web server, not Kafka"
    elif answer[:1] in {b"-", b"+", b"$", b"*"}:
        why = "is Redis, not Kafka"
    elif answer == b"silent":
        why = f"takes connections and does not answer within {ANSWER_SECONDS:g} s"
    elif answer in {b"", b"closed"}:
        why = f"ends the connection: it is not Kafka, or expects TLS ({PREFIX}KAFKA_SECURITY)"
    else:
        why = f"is not Kafka; it answers {answer[:16]!r}"
    return ServerUnavailable(f"{name} {why}")


def _resolved(host: str, port: int) -> list[tuple[socket.AddressFamily, int, int, str, tuple]]:  # type: ignore[type-arg]
    """The addresses of a name. The system's resolver has no time-out: a thread waits for it.

    Raises:
        ServerUnavailable: there are none, or they do not come in time.
    """
    answers: queue.Queue[list[tuple] | OSError] = queue.Queue()  # type: ignore[type-arg]

    def ask() -> None:
        try:
            answers.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            answers.put(error if isinstance(error, OSError) else OSError(0, str(error)))

    threading.Thread(target=ask, name="resolver", daemon=True).start()
    try:
        found = answers.get(timeout=NAME_SECONDS)
    except queue.Empty:
        raise ServerUnavailable(
            f"the name {host!r} is not resolved within {NAME_SECONDS:g} s"
        ) from None
    if isinstance(found, OSError):
        raise ServerUnavailable(
            f"the name {host!r} cannot be resolved ({found.strerror}): is it misspelt, or a name "
            "of another network?"
        )
    # A name with many addresses must not take as many time-outs.
    return found[:2]
