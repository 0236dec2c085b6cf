"""Chats over Apprise against a real receiver: what came of a sending."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator

import pytest

from pipeline.notify.messages import Message, compose
from tests.pipeline.alerts import an_alert
from tests.workers.receivers import HttpReceiver, served
from workers.notify import chat as chat_module
from workers.notify.chat import ChatSender
from workers.notify.http import post
from workers.notify.outcome import Refused, Unsure

PAGE = "https://vane.example.org/"


@pytest.fixture
def chat() -> Iterator[HttpReceiver]:
    receiver = HttpReceiver()
    with served(receiver):
        yield receiver


@pytest.fixture
def message() -> Message:
    return compose([an_alert()], "zh", PAGE)


def send(receiver: HttpReceiver, message: Message, scheme: str = "json") -> None:
    ChatSender("c", receiver.url.replace("http", scheme, 1)).send(message, lambda: None)


def test_a_late_answer_is_an_answer(chat: HttpReceiver, message: Message) -> None:
    """Apprise waits for four seconds where it is not told otherwise."""
    chat.late = 5.0
    send(chat, message)
    post(chat.url, b"{}", {}, lambda: None)
    assert len(chat.offered) == 2


def test_a_chat_that_takes_it_and_never_answers_leaves_a_doubt(
    chat: HttpReceiver, message: Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat_module, "ANSWER_SECONDS", 0.3)
    chat.late = 2.0
    with pytest.raises(Unsure, match=r"no answer from 127\.0\.0\.1: ReadTimeout"):
        send(chat, message)
    assert len(chat.offered) == 1


def test_a_chat_that_hangs_up_after_the_message_leaves_a_doubt(message: Message) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            connection, _ = server.accept()
            connection.recv(65536)
            connection.close()

        thread = threading.Thread(target=take)
        thread.start()
        address = f"json://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(Unsure):
            ChatSender("c", address).send(message, lambda: None)
        thread.join(10)


def test_a_chat_that_is_not_there_was_not_reached(message: Message) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(Refused, match=r"no connection to 127\.0\.0\.1") as caught:
        ChatSender("c", f"json://127.0.0.1:{port}").send(message, lambda: None)
    assert not caught.value.final
    assert not caught.value.answered


@pytest.mark.parametrize("status", [301, 308, 401, 403, 404, 410])
def test_what_would_be_refused_again_is_final(
    chat: HttpReceiver, message: Message, status: int
) -> None:
    chat.answers = [status]
    with pytest.raises(Refused, match=f"answered {status}") as caught:
        send(chat, message)
    assert caught.value.final
    assert len(chat.offered) == 1


def test_retry_after_is_passed_on(chat: HttpReceiver, message: Message) -> None:
    chat.answers = [429]
    chat.headers = {"Retry-After": "25"}
    with pytest.raises(Refused) as caught:
        send(chat, message)
    assert (caught.value.final, caught.value.retry_after) == (False, 25.0)


@pytest.mark.parametrize(
    ("answer", "final"),
    [
        ({"errcode": 310000, "errmsg": "keywords not in content"}, True),
        ({"errcode": 93000, "errmsg": "invalid webhook url"}, True),
        ({"errcode": 45009, "errmsg": "api freq out of limit"}, False),
        ({"errcode": 130101, "errmsg": "send too fast"}, False),
        ({"errcode": -1, "errmsg": "system busy"}, False),
        ({"code": 19024, "msg": "Key Words Not Found"}, True),
        ({"code": 11232, "msg": "frequency limited"}, False),
        ({"StatusCode": 19021, "StatusMessage": "sign match fail"}, True),
        ({"ok": False, "error": "channel_not_found"}, True),
        ({"ok": False, "error_code": 403, "description": "bot was kicked"}, True),
    ],
)
def test_a_refusal_inside_a_200_is_a_refusal(
    chat: HttpReceiver, message: Message, answer: dict[str, object], final: bool
) -> None:
    chat.said = json.dumps(answer).encode()
    with pytest.raises(Refused, match="answered 200 and refused the message") as caught:
        send(chat, message)
    assert caught.value.final is final


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"ok",
        b'{"errcode": 0, "errmsg": "ok"}',
        b'{"code": 0, "msg": "success"}',
        b'{"StatusCode": 0, "StatusMessage": "success"}',
        b'{"ok": true}',
        b'{"code": 200}',
        b"[1]",
        b'{"errcode": "0"}',
    ],
)
def test_what_was_taken_is_delivered(chat: HttpReceiver, message: Message, said: bytes) -> None:
    chat.said = said
    send(chat, message)
    assert len(chat.offered) == 1


def test_dingtalk_and_wecom_hide_a_refusal_in_a_200(
    chat: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apprise.plugins.dingtalk import NotifyDingTalk
    from apprise.plugins.wecombot import NotifyWeComBot

    monkeypatch.setattr(NotifyDingTalk, "notify_url", chat.url + "/robot?access_token={token}")
    monkeypatch.setattr(NotifyWeComBot, "notify_url", chat.url + "/send?key={key}")
    many = compose([an_alert(f"a{n}", track="很长的监测主题" * 5) for n in range(30)], "zh", PAGE)
    for address in ("dingtalk://" + "a" * 64, "wecombot://abc-def"):
        chat.said = b'{"errcode": 0}'
        ChatSender("c", address).send(many, lambda: None)
        chat.said = b'{"errcode": 310000, "errmsg": "keywords not in content"}'
        with pytest.raises(Refused, match="310000"):
            ChatSender("c", address).send(many, lambda: None)
    dingtalk, _, wecom, _ = (json.loads(body)["text"]["content"] for body in chat.offered)
    assert len(wecom.encode()) <= 2048
    assert wecom.endswith(PAGE)
    assert "…" in wecom
    assert len(dingtalk.encode()) <= 20_000
    assert dingtalk.startswith("Weathervane 风向标：30 条告警")
    assert wecom.startswith("Weathervane 风向标：30 条告警")
