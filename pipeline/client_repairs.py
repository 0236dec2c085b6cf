"""Repairs of seven faults of kafka-python 3.0.12: a worker stands still for ever, or counts twice.

They reach into private parts, so `pyproject.toml` pins the version. Each has a test in
`tests/pipeline/test_clients.py` or a trial (10, the broker killed) that fails without it. When a
release mends them, delete this module.
"""

from __future__ import annotations

import logging
from typing import Any

from kafka import KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError

log = logging.getLogger(__name__)

CLOSE_SECONDS = 5.0
_SENDER_POLL_MS = 100
"""Longest sleep of a producer's sender before it looks into its queue again."""


def finish_joins(made: KafkaConsumer) -> None:
    """Let a join that outlives the poll that began it be taken up by the next one.

    kafka-python 3.0.12 forgets such a join where new metadata asked for it: the assignment that
    the leader computes meanwhile already answers "is a rejoin needed?" with no, heartbeats stay
    off, and the member is evicted for good. Java asks `rejoinNeededOrPending`; so does this.

    And it throws a join away that ended between two polls, and joins again, which the others learn
    of as one more rebalance: members whose polls are short can go on so without end.
    """
    coordinator = made._coordinator
    needed, attempt = coordinator.need_rejoin, coordinator._do_join_and_sync_async
    complete, reset = coordinator._on_join_complete_async, coordinator.reset_generation
    ended: list[bytes] = []

    async def attempt_or_take_up() -> bytes:
        if not ended:
            ended.append(await attempt())
        return ended[0]

    async def complete_once(*args: Any, **options: Any) -> None:
        ended.clear()
        await complete(*args, **options)

    def reset_all(*args: Any, **options: Any) -> None:
        ended.clear()
        reset(*args, **options)

    coordinator.need_rejoin = lambda: coordinator.rejoining or needed()
    coordinator._do_join_and_sync_async = attempt_or_take_up
    coordinator._on_join_complete_async = complete_once
    coordinator.reset_generation = reset_all


def forget_lost(made: KafkaConsumer) -> None:
    """Let a member that learns while it joins that it was evicted give its partitions up.

    Positions too: what it had asked for and nobody took up is the answer of an older membership.

    kafka-python 3.0.12 looks at that once, before it asks to join. A member that stood still asks
    with the id of its old membership, is told that nobody knows it, and asks again as a new one,
    its old partitions and positions in hand: it is given the partitions back that it claims, and
    reads again what others have read since. Java prepares anew after such an answer
    (`resetStateAndRejoin`) and claims what it still holds; so does this.
    """
    coordinator = made._coordinator
    reset, complete = coordinator.reset_generation, coordinator._on_join_complete_async

    def reset_and_prepare(*args: Any, **options: Any) -> None:
        reset(*args, **options)
        coordinator.rejoining = False
        for assignor in coordinator._assignors.values():
            assignor.member_assignment = None

    async def complete_afresh(*args: Any, **options: Any) -> None:
        coordinator._offset_fetch_futures.clear()
        await complete(*args, **options)

    coordinator.reset_generation = reset_and_prepare
    coordinator._on_join_complete_async = complete_afresh


def keep_requests(made: KafkaProducer) -> None:
    """Let no transactional request be forgotten: whoever waits for its result waits for ever.

    Two faults of the sender of kafka-python 3.0.12. It sends a request again where `await_ready`
    says that the coordinator is not ready, but `await_ready` raises instead, and the request is
    dropped: killing the broker is enough. And where a batch that was too large fails in its parts
    during a commit, the sender sleeps without end, the end of the transaction still in its queue.
    """
    client = made._sender._client
    await_ready, poll = client.await_ready, client.poll

    def ready(*args: Any, **options: Any) -> bool:
        try:
            return bool(await_ready(*args, **options))
        except KafkaError:
            return False

    def poll_briefly(timeout_ms: float | None = None, future: Any = None) -> Any:
        longest = _SENDER_POLL_MS if timeout_ms is None else min(timeout_ms, _SENDER_POLL_MS)
        return poll(timeout_ms=longest, future=future)

    client.await_ready, client.poll = ready, poll_briefly


def forget_offsets(made: KafkaProducer) -> None:
    """Let the offsets of an aborted transaction stay out of the next one.

    kafka-python 3.0.12 keeps those that the broker refused. The next transaction commits them
    again beside its own: a member that had lost partitions takes their offsets back to where it
    stood, and what others have read since is read again.
    """
    manager, begin = made._transaction_manager, made.begin_transaction

    def begin_afresh() -> None:
        manager._pending_txn_offset_commits.clear()
        begin()

    made.begin_transaction = begin_afresh


def close_in_time(made: KafkaProducer) -> None:
    """Let a producer that fell ill be closed: its flush waits for ever for what it never sends.

    The process has to end, so that it is started again and its transaction fenced.
    """
    close = made.close

    def close_soon(timeout: float = CLOSE_SECONDS, **options: Any) -> None:
        try:
            close(timeout=timeout, **options)
        except KafkaError as error:
            log.warning("the producer is given up with records that were not sent: %r", error)

    made.close = close_soon
