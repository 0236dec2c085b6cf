"""Deletions follow the words, over partitions and in either order, with the real scripts."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest
import redis

from pipeline.buckets import Scored
from pipeline.deletion import Deletion
from pipeline.deletion_fold import DeletionFolder, Said
from pipeline.fold import Folder, Position
from pipeline.notice import Action, Kind
from pipeline.pseudonym import pseudonym
from pipeline.store import Store, connect
from tests.pipeline.events import ARRIVAL_MS, START, scored

PARTITIONS = 4
SALT = "pepper"


class World:
    """A store of several partitions; each fold goes on where the last one of its kind ended."""

    def __init__(self, client: redis.Redis, salt: str | None = SALT) -> None:
        self.client = client
        self.folder = Folder(client, 3_600_000, 48 * 3_600_000)
        self.folder.cascade.partitions = PARTITIONS
        self.deletions = DeletionFolder(client, "wv", self.folder.cascade, salt)
        self.salt = salt
        self.clock = itertools.count(ARRIVAL_MS)

    def event(self, post_id: str, author: str | None = None, **fields: Any) -> None:
        """An event of `sentiment`, where Kafka has it."""
        at = next(self.clock)
        item = scored(at, at)
        hashed = pseudonym(author, self.salt) if author else None
        seen: dict[str, Any] = {"modalities": ("text",), "dominant": "joy", "abstained": False}
        changes = seen | {"id": post_id, "author": hashed} | fields
        event = msgspec.structs.replace(item.event, **changes)
        self._fold_event(item._replace(event=event, timestamp=at))

    def _fold_event(self, item: Scored) -> None:
        partition = self.folder.cascade.post(item.event.id).partition
        position = self.folder.position(partition)
        end = (position.offset or 0) + 1
        folded = self.folder.fold(partition, position, [item], end, ARRIVAL_MS)
        assert folded.applied

    def say(
        self, name: str, of: Kind = "post", action: Action = "delete", version_of: str | None = None
    ) -> None:
        """A record of `deletions`."""
        partition = self.folder.cascade.post(name).partition
        position = self.deletions.position(partition)
        said = Deletion(id=name, deleted_at=START, of=of, action=action, version_of=version_of)
        record = Said(said, next(self.clock))
        end = (position.offset or 0) + 1
        assert self.deletions.fold(partition, position, [record], end).applied

    def shown(self) -> set[str]:
        store = Store(self.client)
        newest = {exemplar.id for exemplar in store.exemplars("all", None, 50)}
        minutes = {e.created_at // 60_000 * 60 for e in store.exemplars("all", None, 50)}
        of_minutes = {e.id for at in minutes for e in store.bucket_exemplars("all", at)}
        assert newest == of_minutes
        return newest

    def kept(self) -> int:
        """Exemplars in the store, hidden ones too."""
        return len(list(self.client.scan_iter("wv:{p*}:e:*")))


@pytest.fixture
def client(redis_url: str) -> redis.Redis:
    client = connect(redis_url.replace("/0", "/6"))
    client.flushdb()
    return client


@pytest.fixture
def world(client: redis.Redis) -> World:
    return World(client)


def test_copies_go_with_the_original_in_every_order(client: redis.Redis) -> None:
    copies = [f"x:{number}" for number in range(10, 18)]
    for place in range(len(copies) + 2):
        client.flushdb()
        world = World(client)
        assert len({world.folder.cascade.post(name).partition for name in copies}) > 1
        steps = ["x:1", *copies]
        steps.insert(place, "deletion")
        for step in steps:
            if step == "deletion":
                world.say("x:1")
            else:
                needs = () if step == "x:1" else ("x:1",)
                world.event(step, deleted_with=needs, repost_of="x:1" if needs else None)
        world.event("x:99")
        assert world.shown() == {"x:99"}
        assert world.kept() == 1
        assert Store(client).totals()["all"].posts == len(copies) + 2, "what was counted stays"


@pytest.mark.parametrize("order", list(itertools.permutations(["x:1", "x:2", "x:3", "deletion"])))
def test_a_copy_of_a_copy_goes_too(world: World, order: tuple[str, ...]) -> None:
    needs = {"x:1": (), "x:2": ("x:1",), "x:3": ("x:2",)}
    for step in order:
        if step == "deletion":
            world.say("x:1")
        else:
            world.event(step, deleted_with=needs[step])
    assert world.kept() == 0


@pytest.mark.parametrize("first", ["deletion", "edit", "both versions"])
def test_a_deletion_names_any_version(world: World, first: str) -> None:
    edit: dict[str, Any] = {"revision": 1, "deleted_with": ("x:2",)}
    if first != "edit":
        world.event("x:1")
    if first == "deletion":
        world.say("x:2")
    world.event("x:1", **edit)
    if first != "deletion":
        world.say("x:2")
    world.event("x:10", deleted_with=("x:1", "x:2"))
    world.event("x:11", deleted_with=("x:1",))
    assert world.kept() == 0


@pytest.mark.parametrize("order", list(itertools.permutations(["post", "edit", "deletion"])))
def test_an_edit_that_was_not_seen_tells_its_id(world: World, order: tuple[str, ...]) -> None:
    steps = {
        "post": lambda: world.event("x:1"),
        "edit": lambda: world.say("x:2", action="version", version_of="x:1"),
        "deletion": lambda: world.say("x:2"),
    }
    for step in order:
        steps[step]()
    world.event("x:9")
    assert world.shown() == {"x:9"}


def test_an_account_of_bluesky_is_deleted_with_all_its_posts(client: redis.Redis) -> None:
    for salt in (SALT, None):
        client.flushdb()
        world = World(client, salt)
        for did in ("a", "b"):
            world.event(f"bluesky:at://did:plc:{did}/app/1", f"bluesky:did:plc:{did}")
        world.say("bluesky:did:plc:a", "author")
        world.event("bluesky:at://did:plc:a/app/2", "bluesky:did:plc:a")
        assert world.shown() == {"bluesky:at://did:plc:b/app/1"}
        assert world.kept() == 1


def test_an_account_is_hidden_and_shown_again_with_what_repeats_it(world: World) -> None:
    hashed = pseudonym("x:71", SALT)
    world.event("x:1", "x:71")
    world.event("x:10", "x:80", repost_author=hashed, repost_of="x:1", deleted_with=("x:1",))
    world.event("x:2", "x:72")
    world.say("x:71", "author", "hide")
    world.event("x:3", "x:71")
    assert world.shown() == {"x:2"}
    assert world.kept() == 4
    world.say("x:71", "author", "show")
    assert world.shown() == {"x:1", "x:2", "x:3", "x:10"}


def test_a_post_is_hidden_and_shown_again_with_what_repeats_it(world: World) -> None:
    world.say("x:1", action="hide")
    world.event("x:1")
    world.event("x:10", deleted_with=("x:1",))
    assert world.shown() == set()
    world.say("x:1", action="show")
    assert world.shown() == {"x:1", "x:10"}


def test_who_was_never_hidden_costs_nothing_when_shown(world: World) -> None:
    world.say("x:71", "author", "show")
    assert list(world.client.scan_iter("wv:{p*}:state:*")) == []


def test_what_comes_back_late_changes_nothing(world: World) -> None:
    """A worker that was cut off carries its batch out again when others have gone on."""
    hide = Said(Deletion(id="x:71", deleted_at=START, of="author", action="hide"), ARRIVAL_MS)
    show = Said(Deletion(id="x:71", deleted_at=START, of="author", action="show"), ARRIVAL_MS + 1)
    world.event("x:1", "x:71")
    partition = world.folder.cascade.post("x:71").partition
    world.deletions.fold(partition, Position(), [hide, show], 2)
    world.deletions._carry_out([hide])
    assert world.shown() == {"x:1"}


def test_an_account_that_comes_back_is_scored_as_ever(world: World) -> None:
    world.event("bluesky:at://did:plc:a/app/1", "bluesky:did:plc:a")
    world.say("bluesky:did:plc:a", "author")
    world.say("bluesky:did:plc:a", "author", "show")
    world.event("bluesky:at://did:plc:a/app/2", "bluesky:did:plc:a")
    assert world.shown() == {"bluesky:at://did:plc:a/app/2"}


def test_a_refused_batch_of_deletions_is_not_counted(world: World) -> None:
    world.say("x:1")
    partition = world.folder.cascade.post("x:1").partition
    again = world.deletions.fold(partition, Position(), [], 1)
    assert (again.applied, again.position.offset) == (False, 1)


def test_nobody_can_be_read_from_what_is_kept(world: World) -> None:
    hashed = pseudonym("x:author-71", SALT)
    world.event("x:10", "x:80", repost_author=hashed, deleted_with=("x:original-1",))
    world.say("x:author-71", "author", "hide")
    world.say("x:original-1")
    left = b"".join(key + (world.client.dump(key) or b"") for key in world.client.scan_iter())
    assert b"author-71" not in left
    assert b"original-1" not in left


def test_exemplars_of_the_version_before_are_read(world: World) -> None:
    world.event("x:1")
    [key] = world.client.scan_iter("wv:{p*}:e:*")
    exemplar: Any = msgspec.json.decode(world.client.hget(key, "j") or b"")
    del exemplar["needs"]
    world.client.hset(key, "j", msgspec.json.encode(exemplar))
    assert world.shown() == {"x:1"}
    world.say("x:1")
    assert world.shown() == set()
