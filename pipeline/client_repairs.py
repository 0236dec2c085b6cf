"""Repairs of thirteen faults of kafka-python 3.0.12: a worker stands still, ends, or counts twice.

They reach into private parts, so `pyproject.toml` pins the version. Each has a test in
`tests/pipeline/test_clients.py`, `test_arrivals.py` or a trial (10, the broker killed) that fails
without it. When a release mends them, delete this module.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any

from kafka import KafkaConsumer, KafkaProducer
from kafka.errors import (
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    RequestTimedOutError,
    UnknownError,
)
from kafka.producer import record_accumulator
from kafka.producer.producer_batch import ProducerBatch
from kafka.producer.transaction_manager import TransactionState, TxnRequestHandler
from kafka.record.memory_records import MemoryRecords, MemoryRecordsBuilder

from pipeline.batches import Batches

log = logging.getLogger(__name__)

CLOSE_SECONDS = 5.0
_SENDER_POLL_MS = 100
"""Longest sleep of a producer's sender before it looks into its queue again."""
_RENEWAL_SECONDS = 20.0
"""Longest wait for a new epoch after an abort."""
_LOOK_SECONDS = 0.002


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


def step_over_unreadable(made: KafkaConsumer) -> None:
    """Let a record or batch that cannot be read be stepped over: what stands for it says so.

    kafka-python 3.0.12 raises from every poll while such a record is kept: a header whose name is
    not UTF-8, which the protocol does not ask for, is enough, and a batch that takes all memory
    once it is decompressed ends the process each time. A batch with a wrong checksum is fetched
    once more before it is given up.
    """
    fetcher = made._fetcher
    suspects: set[tuple[Any, int]] = set()

    class Tolerant(fetcher.PartitionRecords):  # type: ignore[misc, name-defined]
        def _unpack_records(self, place: Any, records: Any, *serializers: Any) -> Iterator[Any]:
            def again(offset: int) -> bool:
                if (place, offset) in suspects:
                    suspects.discard((place, offset))
                    return False
                suspects.add((place, offset))
                log.warning("%s-%d@%d: wrong checksum, fetched once more", *place, offset)
                return True

            def report(first: int, last: int, reason: str) -> None:
                what = (*place, first, last, reason)
                log.error("%s-%d: stepped over: offsets %d to %d %s", *what)

            readable = Batches(records, again, report)
            found: Iterator[Any] = super()._unpack_records(place, readable, *serializers)
            return found

    fetcher.PartitionRecords = Tolerant


def take_up_parked(made: KafkaConsumer) -> None:
    """Let the records of a partition that was paused be taken up once it is resumed.

    kafka-python 3.0.12 keeps what was fetched of it aside, and looks there only while it has no
    records in hand. Records of another partition that were read to their end count as some: where
    no other partition is read, the resumed one stands still for ever.
    """
    fetcher = made._fetcher
    fetched = fetcher.fetched_records

    def fetched_records(*args: Any, **options: Any) -> Any:
        if fetcher._next_partition_records is not None and not fetcher._next_partition_records:
            fetcher._next_partition_records = None
        return fetched(*args, **options)

    fetcher.fetched_records = fetched_records


class _Null(bytes):
    """A header's value that is null, where kafka-python asks for bytes."""


_NULL = _Null()


class _NullValue:
    """A record's value that is null, where kafka-python asks for a key or a value."""

    def serialize(self, topic: str, headers: Any, data: Any) -> Any:
        """The bytes themselves, or none."""
        return None if data is self else data

    def close(self) -> None:
        """There is nothing to close."""


def keep_nulls(made: KafkaProducer) -> None:
    """Let headers be null, and key and value at once, as the protocol has it and others write it.

    kafka-python 3.0.12 reads such records and raises where they are to be written.
    """
    if not hasattr(ProducerBatch.try_append, "keeps_nulls"):
        _teach_nulls()
    nothing = _NullValue()
    made.config["value_serializer"] = nothing
    send = made.send

    def send_nulls(
        topic: str, value: Any = None, key: Any = None, headers: Any = None, **options: Any
    ) -> Any:
        value = nothing if value is None and key is None else value
        return send(topic, value, key, _held(headers), **options)

    made.send = send_nulls


def _held(headers: Any) -> Any:
    """Headers as kafka-python takes them."""
    if not headers or all(value is not None for _, value in headers):
        return headers
    return [(name, _NULL if value is None else value) for name, value in headers]


def _teach_nulls() -> None:
    append, encode = ProducerBatch.try_append, MemoryRecordsBuilder.append

    def try_append(
        self: Any, timestamp_ms: Any, key: Any, value: Any, headers: Any, **options: Any
    ) -> Any:
        # It counts their bytes, also where it splits a batch and reads them as null again.
        return append(self, timestamp_ms, key, value, _held(headers), **options)

    def encode_nulls(self: Any, timestamp: Any, key: Any, value: Any, headers: Any = None) -> Any:
        given = [(n, None if isinstance(v, _Null) else v) for n, v in headers] if headers else []
        return encode(self, timestamp, key, value, given)

    def own_batches(data: Any) -> Iterator[Any]:
        # To split one it reads it, where a name that is not UTF-8 would end the sender's work.
        batches = Batches(MemoryRecords(data), lambda offset: False, lambda *what: None)
        return iter(batches.next_batch, None)

    record_accumulator.MemoryRecords = own_batches
    try_append.keeps_nulls = True  # type: ignore[attr-defined]
    ProducerBatch.try_append = try_append
    MemoryRecordsBuilder.append = encode_nulls


def renew_after_abort(made: KafkaProducer) -> None:
    """Let a transaction that follows an aborted one begin with sequence numbers of its own.

    kafka-python 3.0.12 goes on counting behind batches that the broker refused. The next batch for
    the partition is out of order, the producer takes a new epoch in the middle of the transaction,
    and neither commit nor abort is possible any more: the process has to end. Java takes the epoch
    where it aborts (`epochBumpRequired`); so does this.

    Raises:
        KafkaTimeoutError: there is no new epoch within 20 s.
    """
    manager, abort = made._transaction_manager, made.abort_transaction

    def over() -> bool:
        state = manager._current_state
        return state in (TransactionState.BUMPING_PRODUCER_EPOCH, TransactionState.READY)

    def abort_and_renew() -> None:
        # Where it took an epoch by itself, the broker has aborted the transaction already.
        if not over():
            abort()
        manager.bump_producer_id_and_epoch()
        made._sender.wakeup()
        deadline = time.monotonic() + _RENEWAL_SECONDS
        while manager.is_bumping_epoch():
            if time.monotonic() > deadline:
                raise KafkaTimeoutError("the producer was not given a new epoch")
            time.sleep(_LOOK_SECONDS)

    made.abort_transaction = abort_and_renew


def flush_parts(made: KafkaProducer) -> None:
    """Let a flush wait for the parts of a batch that was split because it was too large.

    kafka-python 3.0.12 gives the flush up at the first split ("Future not done"), as if the whole
    were lost, so that records after which a batch is too large for its topic are never written.
    """
    flush = made.flush

    def flush_all(timeout: float | None = None) -> None:
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                flush(left)
                return
            except UnknownError:
                if left == 0:
                    raise
                time.sleep(_LOOK_SECONDS)

    made.flush = flush_all


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


def repeat_timed_out(made: KafkaProducer) -> None:
    """Let a transactional request that was not answered in time be sent again.

    kafka-python 3.0.12 repeats one whose connection was lost, but not one whose connection it
    closed by itself since the broker hung for longer than a request may take (30 s): the producer
    can do nothing more, and the process has to end. To Java both are the same.
    """
    if getattr(TxnRequestHandler.on_complete, "repeats", False):
        return
    on_complete = TxnRequestHandler.on_complete

    def complete(self: Any, correlation_id: int, answer: Any) -> None:
        if isinstance(answer, RequestTimedOutError):
            answer = KafkaConnectionError(str(answer))
        on_complete(self, correlation_id, answer)

    complete.repeats = True  # type: ignore[attr-defined]
    TxnRequestHandler.on_complete = complete


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
