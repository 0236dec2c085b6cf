"""Which channel was told of which change: a two-step record in Redis.

A change is claimed, marked as *sending* right before the first byte that its receiver could act
on, and then marked with its end: delivered, failed, doubtful. So what a killed process left tells
whether the message cannot have been sent (claimed) or may have been (sending).

Guarantee. Two processes never send under one claim: a claim that was taken over refuses the next
step of its first owner. Every step may be repeated, as a client does after a time-out.
Not guaranteed: what became of a message whose process died while sending; `doubt` decides.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import redis

from pipeline.alerts.alert import Alert
from pipeline.notify.config import Doubt

KEPT_MS = 30 * 86_400_000
"""An acknowledgement comes as a record of the same change: it is known as told for 30 days."""

Claim = Literal["claimed", "repeated", "unsure", "delivered", "failed", "doubtful"]
"""`claimed`: ours to send. `repeated`: ours, and a dead process may have sent it. `unsure`: given
up now, since a dead process may have sent it. The others: an end that was recorded before."""
End = Literal["delivered", "failed", "doubtful"]

_CLAIM = """
local token, doubt, kept = ARGV[1], ARGV[2], ARGV[3]
local answer = {}
for index, key in ipairs(KEYS) do
  local now = redis.call('GET', key) or 'claimed'
  answer[index] = string.match(now, '^%a+')
  if now == 'sending ' .. token then
    answer[index] = 'claimed'
  elseif answer[index] == 'sending' then
    answer[index] = doubt == 'repeat' and 'repeated' or 'unsure'
  end
  if answer[index] == 'unsure' then
    redis.call('SET', key, 'doubtful ' .. token, 'PX', kept)
  elseif answer[index] == 'claimed' or answer[index] == 'repeated' then
    redis.call('SET', key, 'claimed ' .. token, 'PX', kept)
  end
end
return answer
"""
_MOVE = """
local before, after, kept = ARGV[1], ARGV[2], ARGV[3]
for _, key in ipairs(KEYS) do
  local now = redis.call('GET', key)
  if now ~= before and now ~= after then return 0 end
end
for _, key in ipairs(KEYS) do redis.call('SET', key, after, 'PX', kept) end
return 1
"""


@dataclass(frozen=True, slots=True)
class Change:
    """What a channel is told once: `name` is the state, with the severity where that grew."""

    alert: str
    name: str

    def __str__(self) -> str:
        return f"{self.alert} ({self.name})"

    @classmethod
    def of(cls, alert: Alert) -> Change:
        """The change of a record. An acknowledgement or a mute repeats the change before it."""
        grown = f"-{alert.severity}" if alert.state == "updated" else ""
        return cls(alert.id, alert.state + grown)


class Ledger:
    """The record of one process. Thread-safe. Raises redis-py's errors."""

    def __init__(self, client: redis.Redis, namespace: str = "wv") -> None:
        self._namespace = namespace
        self._token = secrets.token_hex(8)
        self._claim = client.register_script(_CLAIM)
        self._move = client.register_script(_MOVE)

    def claim(self, channel: str, changes: Sequence[Change], doubt: Doubt) -> list[Claim]:
        """Claim what nobody has told the channel yet, and what a dead process left unfinished.

        What this process itself marked as being sent is claimed again: it knows that it was not.
        """
        arguments: list[str | int] = [self._token, doubt, KEPT_MS]
        answers = self._claim(self._keys(channel, changes), arguments)
        return [cast(Claim, answer.decode()) for answer in answers]

    def sending(self, channel: str, changes: Sequence[Change]) -> bool:
        """Mark claimed changes as being sent; False where the claim was taken over."""
        return self._step(channel, changes, "claimed", "sending")

    def release(self, channel: str, changes: Sequence[Change]) -> bool:
        """Take back `sending`: the receiver refused, or was not reached."""
        return self._step(channel, changes, "sending", "claimed")

    def end(self, channel: str, changes: Sequence[Change], was: str, end: End) -> bool:
        """Record how it ended, from `claimed` or `sending`."""
        return self._step(channel, changes, was, end)

    def _step(self, channel: str, changes: Sequence[Change], before: str, after: str) -> bool:
        steps: list[str | int] = [f"{before} {self._token}", f"{after} {self._token}", KEPT_MS]
        return bool(self._move(self._keys(channel, changes), steps))

    def _keys(self, channel: str, changes: Sequence[Change]) -> list[str]:
        # The hash tag keeps the changes of one message in one slot of a Redis Cluster.
        prefix = f"{self._namespace}:notify:{{{channel}}}"
        return [f"{prefix}:{change.alert}:{change.name}" for change in changes]
