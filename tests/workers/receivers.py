"""Real receivers of notifications: a webhook, an Alertmanager's API, an SMTP sink.

Each can be told to stall: the next message is taken and its answer held back until `go_on`.
"""

from __future__ import annotations

import email
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Stall:
    """A gate that the next message is held at."""

    def __init__(self) -> None:
        self._armed = threading.Event()
        self.reached = threading.Event()
        self._open = threading.Event()

    def arm(self) -> None:
        """Hold the next one."""
        self._open.clear()
        self.reached.clear()
        self._armed.set()

    def go_on(self) -> None:
        """Let it go, and hold no more."""
        self._armed.clear()
        self._open.set()

    def pass_through(self) -> None:
        """Called by the receiver where it may be held."""
        if self._armed.is_set():
            self._armed.clear()
            self.reached.set()
            self._open.wait(60)


class HttpReceiver:
    """Takes POSTs; `answers` are the statuses of the next ones, 200 when there are none left.

    `said` and `headers` go with each answer; `late` holds it back for so many seconds.
    """

    def __init__(self) -> None:
        self.said = b""
        self.headers: dict[str, str] = {}
        self.late = 0.0
        self.offered: list[bytes] = []
        """Every body, also of those that were refused."""
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.answers: list[int] = []
        self.stall = Stall()
        self.closing = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.offered.append(body)
                status = receiver.answers.pop(0) if receiver.answers else receiver.status_of(body)
                if status < 300:
                    receiver.requests.append((self.path, dict(self.headers.items()), body))
                receiver.stall.pass_through()
                receiver.closing.wait(receiver.late)
                with suppress(ConnectionError):
                    self.answer(status)

            def answer(self, status: int) -> None:
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", receiver.url + "/elsewhere")
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(receiver.said)))
                self.end_headers()
                self.wfile.write(receiver.said)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def status_of(self, body: bytes) -> int:
        """The answer to a body."""
        return 200

    def bodies(self) -> list[dict[str, Any]]:
        """The JSON bodies taken so far."""
        return [json.loads(body) for _, _, body in self.requests]

    def messages(self) -> dict[str, dict[str, Any]]:
        """What an idempotent receiver keeps: one body for each Idempotency-Key."""
        kept: dict[str, dict[str, Any]] = {}
        for _, headers, body in self.requests:
            said = json.loads(body)
            assert kept.setdefault(headers["Idempotency-Key"], said) == said
        return kept


class AlertmanagerReceiver(HttpReceiver):
    """Knows alerts by their labels, as Alertmanager does; notes each turn of one."""

    def __init__(self) -> None:
        super().__init__()
        self.turns: list[tuple[str, str]] = []
        """(alert id, firing or resolved) whenever that changed: what a user is told."""
        self._state: dict[str, str] = {}
        self._lock = threading.Lock()

    def status_of(self, body: bytes) -> int:
        with self._lock:
            for alert in json.loads(body):
                starts, ends = (datetime.fromisoformat(alert[k]) for k in ("startsAt", "endsAt"))
                if ends < starts or not all(alert["labels"].values()):
                    return 400
                name = json.dumps(alert["labels"], sort_keys=True)
                state = "resolved" if ends <= datetime.now(UTC) else "firing"
                if self._state.get(name, "resolved") != state:
                    self._state[name] = state
                    self.turns.append((alert["labels"]["alert_id"], state))
        return 200


class SmtpSink:
    """An SMTP server that keeps what it accepted: a mail counts from its final dot on."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.before_data = Stall()
        """Between DATA and the 354."""
        self.after_dot = Stall()
        """Between the final dot and the 250."""
        self.refuse: set[str] = set()
        sink = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.say("220 sink")
                while line := self.rfile.readline():
                    verb = line.split(b" ", 1)[0].strip().upper()
                    if verb == b"DATA":
                        sink.before_data.pass_through()
                        self.say("354 go on")
                        self.data()
                    elif verb == b"RCPT" and any(who in line.decode() for who in sink.refuse):
                        self.say("550 nobody here")
                    elif verb == b"QUIT":
                        self.say("221 bye")
                        return
                    else:
                        self.say("250 ok")

            def data(self) -> None:
                lines = []
                while (line := self.rfile.readline()) not in {b".\r\n", b""}:
                    lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
                if line:
                    mail = email.message_from_bytes(b"".join(lines), EmailMessage, policy=default)
                    sink.mails.append(mail)
                    sink.after_dot.pass_through()
                    self.say("250 taken")

            def say(self, text: str) -> None:
                try:
                    self.wfile.write(text.encode() + b"\r\n")
                except OSError:
                    # The client was killed: that is what the tests are about.
                    self.rfile.close()

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]

    def about(self, alert: str) -> list[str]:
        """Subjects of the mails about an alert."""
        return [
            str(m["Subject"]).strip()
            for m in self.mails
            if f"alert={alert}" in text_of(m).split()[-1]
        ]


def text_of(mail: EmailMessage) -> str:
    """The text of a mail."""
    text: str = mail.get_content()
    return text


@contextmanager
def served(*receivers: HttpReceiver | SmtpSink) -> Iterator[None]:
    """Serve each from a thread."""
    threads = [threading.Thread(target=r.server.serve_forever, args=(0.05,)) for r in receivers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for receiver in receivers:
            receiver.server.shutdown()
            receiver.server.server_close()
        for thread in threads:
            thread.join(10)
