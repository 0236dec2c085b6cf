"""Dead letters: what there is, sending it once more to where it came from, and erasing it.

The letters that count are those behind the committed offsets of the group `redrive`. A redrive
takes each of them once and in one transaction a batch: what matches goes back to its topic, what
does not goes to the end of the dead letters. So nothing is redriven twice or lost, whatever dies.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

import msgspec
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata

from pipeline.clients import consumer, producer
from pipeline.errors import WeathervaneError
from pipeline.headers import header
from pipeline.reading import until_ends
from pipeline.records import ERROR_HEADERS, Outgoing, Record, is_cut
from pipeline.settings import Settings
from pipeline.topics import dead_letter_topic
from pipeline.transactions import transact

GROUP = "redrive"
_SUFFIX = dead_letter_topic("")
_BATCH = 200


class Kind(msgspec.Struct, frozen=True):
    """Letters of one topic with one reason."""

    topic: str
    reason: str
    letters: int


@dataclass(frozen=True, slots=True)
class Redriven:
    """What a redrive did, or with `dry_run` would do."""

    sent: int
    kept: int


def kinds(settings: Settings) -> list[Kind]:
    """The letters there are, by topic and reason, most frequent first."""
    with closing(consumer(settings, None, group_id=GROUP)) as source:
        places = _places(source, None)
        letters = itertools.chain.from_iterable(_letters(source, places))
        counted = Counter((letter.topic, reason_of(letter)) for letter in letters)
    return [Kind(topic, reason, count) for (topic, reason), count in counted.most_common()]


def redrive(settings: Settings, topic: str | None, reason: str | None, dry_run: bool) -> Redriven:
    """Send letters back to the topics they came from.

    Args:
        topic: only those of this dead-letter topic.
        reason: only those whose reason holds this text.
        dry_run: only count.

    Raises:
        WeathervaneError: there is no such topic.
    """
    sent = kept = 0
    with closing(consumer(settings, None, group_id=GROUP)) as source:
        places = _places(source, topic)
        if dry_run:
            for batch in _letters(source, places):
                matching = sum(_matches(letter, reason) for letter in batch)
                sent, kept = sent + matching, kept + len(batch) - matching
            return Redriven(sent, kept)
        with closing(producer(settings, GROUP)) as sink:
            sink.init_transactions()
            for batch in _letters(source, places):
                again = [_again(letter) for letter in batch if _matches(letter, reason)]
                rest = [_moved(letter) for letter in batch if not _matches(letter, reason)]
                _answer(source, sink, batch, again + rest)
                sent, kept = sent + len(again), kept + len(rest)
    return Redriven(sent, kept)


def erase(settings: Settings, is_of: Callable[[Record], bool], *, dry_run: bool = False) -> int:
    """Delete the letters for which `is_of` holds, redriven ones too; how many there were, or with
    `dry_run` are.

    Kafka deletes what is before an offset only, so the other letters move behind it.
    """
    erased = 0
    with (
        closing(consumer(settings, None, group_id=GROUP)) as source,
        closing(KafkaAdminClient(**settings.kafka_options())) as admin,
        closing(producer(settings, GROUP)) as sink,
    ):
        sink.init_transactions()
        for place in _places(source, None):
            found = sum(is_of(letter) for batch in _all(source, place) for letter in batch)
            erased += found
            if not found or dry_run:
                continue
            for batch in _letters(source, [place]):
                answers = [_moved(letter) for letter in batch if not is_of(letter)]
                _answer(source, sink, batch, answers)
            # One that comes meanwhile stays, whosever it is.
            admin.delete_records({place: source.committed(place)})
    return erased


def reason_of(letter: Record) -> str:
    """Why it is one."""
    reason = header(letter.headers, ERROR_HEADERS + "exception.message")
    return reason.decode("utf-8", "replace") if reason is not None else "no reason is given"


def _again(letter: Record) -> Outgoing:
    """Back to where it came from."""
    headers = [(k, v) for k, v in letter.headers if not k.startswith(ERROR_HEADERS)]
    return Outgoing(letter.topic.removesuffix(_SUFFIX), letter.key, letter.value, headers)


def _moved(letter: Record) -> Outgoing:
    """To the end of the dead letters."""
    return Outgoing(letter.topic, letter.key, letter.value, letter.headers)


def _answer(
    source: KafkaConsumer, sink: KafkaProducer, batch: list[Record], answers: list[Outgoing]
) -> None:
    """One transaction: the letters are done with."""
    offsets = {
        TopicPartition(letter.topic, letter.partition): OffsetAndMetadata(letter.offset + 1, "", -1)
        for letter in batch
    }
    transact(sink, answers, offsets, source.group_metadata())


def _matches(letter: Record, reason: str | None) -> bool:
    # One that was cut is not what came, and would only come back; its place says where that stands.
    if is_cut(letter):
        return False
    return reason is None or reason.casefold() in reason_of(letter).casefold()


def _places(source: KafkaConsumer, topic: str | None) -> list[TopicPartition]:
    there = sorted(name for name in source.topics() if name.endswith(_SUFFIX))
    if topic is not None and topic not in there:
        raise WeathervaneError(f"there is no topic {topic}; there are: {', '.join(there)}")
    wanted = there if topic is None else [topic]
    return [
        TopicPartition(name, number)
        for name in wanted
        for number in sorted(source.partitions_for_topic(name) or ())
    ]


def _all(source: KafkaConsumer, place: TopicPartition) -> Iterator[list[Record]]:
    """Every record that is there, letters that were redriven among them."""
    source.assign([place])
    ends = source.end_offsets([place])
    source.seek_to_beginning(place)
    yield from until_ends(source, ends, _BATCH)


def _letters(source: KafkaConsumer, places: list[TopicPartition]) -> Iterator[list[Record]]:
    """The letters that are there now, in batches; those that come meanwhile are not among them."""
    source.assign(places)
    ends = source.end_offsets(places)
    begins = source.beginning_offsets(places)
    for place in places:
        source.seek(place, max(begins[place], source.committed(place) or 0))
    yield from until_ends(source, ends, _BATCH)
