"""What goes into one transaction: answers, the offsets that they answer, and of which records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kafka import ConsumerGroupMetadata, TopicPartition

from pipeline.records import Outgoing, is_unread, unread_letter


@dataclass(frozen=True, slots=True)
class Prefix:
    """Answers to the first `handled` records of a batch, one or more; the rest is asked again."""

    answers: Sequence[Outgoing]
    handled: int


Polled = Mapping[TopicPartition, Sequence[Any]]
"""Records by partition, as the consumer gives them."""


@dataclass(slots=True)
class Round:
    """The content of a transaction."""

    group: ConsumerGroupMetadata
    """Membership in which the records were polled: with a later one, the broker would take
    offsets of partitions that are another member's by now."""
    answers: list[Outgoing] = field(default_factory=list)
    offsets: dict[TopicPartition, int] = field(default_factory=dict)
    taken: dict[TopicPartition, list[int]] = field(default_factory=dict)
    """Offsets of the records."""
    records: int = 0
    size: int = 0
    """Bytes of the answers."""
    unread: int = 0
    """Records that only stand for others, which cannot be read."""

    def add(
        self, polled: Polled, answers: Sequence[Outgoing] | Prefix
    ) -> dict[TopicPartition, int]:
        """Take in a batch and the answers to those of its records that can be read.

        Returns:
            Where partitions are to be read on of which something was not handled.
        """
        left = sum(map(len, polled.values()))
        if isinstance(answers, Prefix):
            left, answers = answers.handled, answers.answers
        letters: list[Outgoing] = []
        again: dict[TopicPartition, int] = {}
        for place, batch in polled.items():
            done = 0
            for record in batch:
                if is_unread(record):
                    letters.append(unread_letter(record))
                elif left:
                    left -= 1
                else:
                    again[place] = record.offset
                    break
                done += 1
            if done:
                self.offsets[place] = batch[done - 1].offset + 1
                self.taken.setdefault(place, []).extend(r.offset for r in batch[:done])
                self.records += done
        self.unread += len(letters)
        self.answers += [*answers, *letters]
        self.size += sum(len(answer.value or b"") for answer in answers)
        return again
