"""Mail over SMTP, with a Message-ID that is the same each time that a message is sent.

Apprise knows mail too, but gives every sending a Message-ID of its own, and hides when the body
goes out. RFC 5321 (SMTP), RFC 3834 (Auto-Submitted).
"""

from __future__ import annotations

import hashlib
import logging
import re
import smtplib
import socket
import ssl
from collections.abc import Callable
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, parseaddr

from pipeline.notify.config import Mail
from pipeline.notify.messages import Message
from workers.notify.http import OPERATION_SECONDS, bounded
from workers.notify.outcome import Refused, Unsure

_OK = 250
_GO_ON = 354
_PERMANENT = 500
"""Replies from here on mean that the same would be refused again (RFC 5321, 4.2.1)."""
_TAKEN = frozenset({250, 251})
_LINE_START_DOT = re.compile(rb"(?m)^\.")

log = logging.getLogger(__name__)


class MailSender:
    """Sends as one mail to all addresses of the channel."""

    groups = True

    def __init__(self, channel: Mail, password: str | None) -> None:
        self._channel = channel
        self._password = password

    def send(self, message: Message, about_to: Callable[[], None]) -> None:
        """Send; `about_to` is called between the server's 354 and the first byte of the mail.

        Raises:
            Refused: the server was not reached, or did not take it.
            Unsure: it had all of it and did not answer.
        """
        mail = self.mail(message).as_bytes(policy=SMTP)
        host = f"{self._channel.host}:{self._channel.port}"
        smtp = None
        with bounded(lambda: smtp.sock if smtp else None):
            try:
                try:
                    smtp = self._connected()
                    self._offer(smtp)
                except (OSError, smtplib.SMTPException) as error:
                    final, answered = _is_final(error), isinstance(error, smtplib.SMTPException)
                    raise Refused(f"{host}: {_said(error)}", final, answered=answered) from error
                about_to()
                try:
                    smtp.send(_LINE_START_DOT.sub(b"..", mail) + b".\r\n")
                    code, said = smtp.getreply()
                except (OSError, smtplib.SMTPException) as error:
                    raise Unsure(f"{host}: no answer to the mail: {_said(error)}") from error
            finally:
                if smtp is not None:
                    smtp.close()
        if code != _OK:
            reason = f"{host} answered {code} {said.decode('utf-8', 'replace')}"
            raise Refused(reason, code >= _PERMANENT, answered=True)

    def mail(self, message: Message) -> EmailMessage:
        """The mail itself."""
        domain = parseaddr(self._channel.sender)[1].rpartition("@")[2] or "weathervane"
        mail = EmailMessage(policy=SMTP)
        mail["From"] = self._channel.sender
        mail["To"] = ", ".join(self._channel.to)
        mail["Subject"] = message.title
        mail["Date"] = formatdate()
        mail["Message-ID"] = f"<{hashlib.sha256(message.key.encode()).hexdigest()[:32]}@{domain}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(message.body + "\n", cte="quoted-printable")
        return mail

    def _connected(self) -> smtplib.SMTP:
        channel = self._channel
        # The fully qualified name that smtplib would look up can take the resolver's time-out.
        here = socket.gethostname()
        if channel.security == "tls":
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(
                channel.host, channel.port, here, timeout=OPERATION_SECONDS, context=context
            )
        smtp = smtplib.SMTP(channel.host, channel.port, here, timeout=OPERATION_SECONDS)
        if channel.security == "starttls":
            smtp.starttls(context=ssl.create_default_context())
        return smtp

    def _offer(self, smtp: smtplib.SMTP) -> None:
        """Everything before the mail itself: up to the server's "go on"."""
        channel = self._channel
        if channel.user is not None:
            smtp.login(channel.user, self._password or "")
        smtp.ehlo_or_helo_if_needed()
        _expect(_OK, *smtp.mail(parseaddr(channel.sender)[1]))
        answers = {address: smtp.rcpt(parseaddr(address)[1]) for address in channel.to}
        refused = {who: answer for who, answer in answers.items() if answer[0] not in _TAKEN}
        if len(refused) == len(answers):
            raise smtplib.SMTPRecipientsRefused(refused)
        for who, (code, said) in refused.items():
            log.warning("channel %s: %s is refused: %d %r", channel.name, who, code, said)
        _expect(_GO_ON, *smtp.docmd("DATA"))


def _expect(wanted: int, code: int, said: bytes) -> None:
    if code != wanted:
        raise smtplib.SMTPResponseException(code, said)


def _is_final(error: Exception) -> bool:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code >= _PERMANENT for code, _ in error.recipients.values())
    return isinstance(error, smtplib.SMTPResponseException) and error.smtp_code >= _PERMANENT


def _said(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "; ".join(
            f"{who}: {code} {text!r}" for who, (code, text) in error.recipients.items()
        )
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        return f"{error.smtp_code} {text}"
    return str(error) or type(error).__name__
