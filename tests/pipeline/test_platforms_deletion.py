"""What platforms say of posts and accounts that are gone, and what goes with them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.errors import Unreadable
from pipeline.notice import Notice
from pipeline.platforms import DECODERS
from pipeline.post import Author, Post

DID = "did:plc:gone"
TIME = "2026-01-26T10:00:00Z"
OLD_TIME = "Mon Jan 26 10:00:00 +0000 2026"
ORIGINAL: dict[str, Any] = {
    "id_str": "1",
    "created_at": OLD_TIME,
    "full_text": "I cannot stop crying",
    "user": {"id_str": "71", "screen_name": "handle71"},
}
RETWEET: dict[str, Any] = {
    "id_str": "10",
    "created_at": OLD_TIME,
    "full_text": "RT @handle71: I cannot…",
    "user": {"id_str": "80"},
}


def read(platform: str, data: object) -> Post:
    post = DECODERS[platform](json.dumps(data).encode())
    assert isinstance(post, Post)
    return post


def said(platform: str, data: object) -> tuple[str, list[str]]:
    """The action and its subjects, authors with an @."""
    notice = DECODERS[platform](json.dumps(data).encode())
    assert isinstance(notice, Notice)
    assert notice.deleted
    names = [("@" if subject.of == "author" else "") + subject.id for subject in notice.subjects]
    assert notice.id == notice.subjects[0].id
    return notice.action, names


def canonical(**fields: object) -> dict[str, object]:
    return {"id": "weathervane:1", "created_at": TIME, "text": "I hate this"} | fields


def repeats(post: Post) -> tuple[str | None, str | None, tuple[str, ...]]:
    return post.repost_of, post.repost_author, post.deleted_with


def test_a_retweet_goes_with_what_it_repeats() -> None:
    assert repeats(read("x", RETWEET | {"retweeted_status": ORIGINAL})) == ("x:1", "x:71", ("x:1",))
    v2: dict[str, Any] = {
        "id": "10",
        "text": "RT @handle71: I…",
        "author_id": "80",
        "created_at": TIME,
    }
    v2 |= {"referenced_tweets": [{"type": "retweeted", "id": "1"}]}
    included = {"tweets": [{"id": "1", "author_id": "71", "text": "I cannot stop crying"}]}
    message = {"data": v2, "includes": included}
    assert repeats(read("x", message)) == ("x:1", "x:71", ("x:1",))
    by_number = {"tweets": [{"id": 1, "author_id": 71, "text": "I cannot stop crying"}]}
    assert repeats(read("x", {"data": v2, "includes": by_number})) == ("x:1", "x:71", ("x:1",))
    mention = {"entities": {"mentions": [{"username": "Handle71", "id": "71"}]}}
    assert repeats(read("x", {"data": v2 | mention})) == ("x:1", "x:71", ("x:1",))
    assert repeats(read("x", {"data": v2})) == ("x:1", None, ("x:1",))


def test_a_retweet_of_an_edited_tweet_goes_with_each_version_of_it() -> None:
    edited = ORIGINAL | {"id_str": "2", "edit_history_tweet_ids": ["1", "2"]}
    post = read("x", RETWEET | {"retweeted_status": edited})
    assert repeats(post) == ("x:1", "x:71", ("x:1", "x:2"))


def test_words_that_were_copied_by_hand_are_their_authors() -> None:
    mentioned = {"user_mentions": [{"screen_name": "handle71", "id_str": "71"}]}
    typed = RETWEET | {"full_text": "so true RT @handle71: I cannot", "entities": mentioned}
    assert repeats(read("x", typed)) == (None, "x:71", ())
    assert repeats(read("x", typed | {"full_text": "@handle71 I know"})) == (None, None, ())


def test_a_boost_goes_with_what_it_shows() -> None:
    status = {"id": 7, "created_at": TIME, "content": "<p>sad</p>", "account": {"id": 1}}
    boost = status | {"id": "8", "content": "", "account": {"id": "2"}, "reblog": status}
    assert repeats(read("mastodon", boost)) == ("mastodon:7", "mastodon:1", ("mastodon:7",))
    assert repeats(read("mastodon", status)) == (None, None, ())


def test_a_weibo_repost_goes_with_words_that_are_not_its_own() -> None:
    original = {"idstr": "4", "created_at": OLD_TIME, "text": "气死我了", "user": {"id": 32}}
    bare = {"idstr": "5", "created_at": OLD_TIME, "text": "转发微博", "user": {"idstr": "31"}}
    post = read("weibo", bare | {"retweeted_status": original})
    assert repeats(post) == ("weibo:4", "weibo:32", ("weibo:4",))
    own = read("weibo", bare | {"text": "太恶心了", "retweeted_status": original})
    assert repeats(own) == ("weibo:4", None, ())


def test_weibos_notice_is_nobodys_word() -> None:
    bare = {"idstr": "5", "created_at": OLD_TIME, "text": "转发微博", "user": {"idstr": "31"}}
    gone = {"idstr": "9", "deleted": "1", "text": "抱歉，此微博已被作者删除。"}
    assert said("weibo", bare | {"retweeted_status": gone}) == ("delete", ["weibo:9"])
    hidden = {"idstr": "8", "text": "抱歉，作者已设置仅展示半年内微博，此微博已不可见。"}
    value = json.dumps(bare | {"retweeted_status": hidden}).encode()
    assert DECODERS["weibo"](value) is None
    own = read("weibo", bare | {"text": "可惜", "retweeted_status": gone})
    assert (own.text, own.repost_of) == ("可惜", "weibo:9")


def test_a_canonical_repost_goes_with_what_it_names() -> None:
    post = read("weathervane", canonical(repost_of="x:1", repost_author="x:71"))
    assert repeats(post) == ("x:1", "x:71", ("x:1",))
    several = canonical(platform="x", repost_of="x:1", repost_author="71", deleted_with=["x:2"])
    assert repeats(read("weathervane", several)) == ("x:1", "x:71", ("x:1", "x:2"))
    assert repeats(read("weathervane", canonical(deleted_with="x:1"))) == (None, None, ())
    assert (
        len(
            read("weathervane", canonical(deleted_with=[f"x:{n}" for n in range(999)])).deleted_with
        )
        == 64
    )


def test_an_edit_goes_with_each_of_its_versions() -> None:
    edited = {"id": "2", "text": "sad", "created_at": TIME, "edit_history_tweet_ids": ["1", 2]}
    post = read("x", {"data": edited})
    assert (post.id, post.revision, post.deleted_with) == ("x:1", 1, ("x:2",))
    old = {"edit_history": {"edit_tweet_ids": ["1", "2", "3"]}}
    assert read("x", ORIGINAL | old).deleted_with == ("x:2", "x:3")


@pytest.mark.parametrize(
    ("data", "action", "names"),
    [
        ({"delete": {"status": {"id": 5, "id_str": "5", "user_id": 9}}}, "delete", ["x:5"]),
        ({"delete": {"status": {"id": 5, "user_id": 9}}}, "delete", ["x:5"]),
        ({"data": {"delete": {"tweet": {"id": "5", "author_id": "9"}}}}, "delete", ["x:5"]),
        (
            {"data": {"delete": {"tweet": {"id": "5", "edit_history_tweet_ids": ["3", "5"]}}}},
            "delete",
            ["x:3", "x:5"],
        ),
        (
            {"delete": {"status": {"id": "5"}, "edit_tweet_ids": ["3", "5"]}},
            "delete",
            ["x:3", "x:5"],
        ),
        ({"status_withheld": {"id": 5, "withheld_in_countries": ["DE"]}}, "hide", ["x:5"]),
        (
            {"data": {"withheld": {"tweet": {"id": "5"}, "withheld_in_countries": []}}},
            "show",
            ["x:5"],
        ),
        ({"data": {"drop": {"tweet": {"id": "5"}}}}, "hide", ["x:5"]),
        ({"data": {"undrop": {"tweet": {"id": "5"}}}}, "show", ["x:5"]),
        ({"user_delete": {"id": 9, "timestamp_ms": "1"}}, "hide", ["@x:9"]),
        ({"data": {"user_delete": {"user": {"id": "9"}}}}, "hide", ["@x:9"]),
        ({"data": {"user_undelete": {"user": {"id": "9"}}}}, "show", ["@x:9"]),
        ({"user_protect": {"id": 9}}, "hide", ["@x:9"]),
        ({"user_unprotect": {"id": 9}}, "show", ["@x:9"]),
        ({"data": {"user_suspend": {"user": {"id": "9"}}}}, "hide", ["@x:9"]),
        ({"user_unsuspend": {"id": 9}}, "show", ["@x:9"]),
        ({"user_withheld": {"id": 9, "withheld_in_countries": ["AR"]}}, "hide", ["@x:9"]),
        ({"id": "5", "action": "delete", "reason": "suspended"}, "delete", ["x:5", "@x:5"]),
        ({"id": 5, "action": "delete", "created_at": TIME}, "delete", ["x:5", "@x:5"]),
    ],
)
def test_every_form_of_xs_compliance_is_read(data: object, action: str, names: list[str]) -> None:
    assert said("x", data) == (action, names)


@pytest.mark.parametrize(
    "data",
    [
        {"scrub_geo": {"user_id": 9, "up_to_status_id": 5}},
        {"data": {"scrub_geo": {"user": {"id": "9"}, "up_to_tweet_id": "5"}}},
        {"id": "5", "action": "scrub_geo"},
        {"data": {"tweet_edit": {"tweet": {"id": "5"}, "edit_tweet_ids": ["5"]}}},
        {"data": {"user_profile_modification": {"user": {"id": "9"}}}},
        {"delete": {"favorite": {"tweet_id": 5}}},
    ],
)
def test_what_asks_for_nothing_that_is_kept_is_skipped(data: object) -> None:
    assert DECODERS["x"](json.dumps(data).encode()) is None


def test_an_edit_tells_the_later_ids_of_a_post() -> None:
    edit = {"tweet": {"id": "5"}, "initial_tweet_id": "3", "edit_tweet_ids": ["3", "4", "5"]}
    notice = DECODERS["x"](json.dumps({"data": {"tweet_edit": edit}}).encode())
    assert isinstance(notice, Notice)
    assert (notice.action, notice.version_of) == ("version", "x:3")
    assert [subject.id for subject in notice.subjects] == ["x:4", "x:5"]


def test_a_tweet_is_no_compliance_event() -> None:
    tweet = {"id": "5", "text": "x", "created_at": TIME, "withheld": {"country_codes": ["DE"]}}
    assert read("x", {"data": tweet}).id == "x:5"
    nobodies: tuple[dict[str, Any], ...] = (
        {"user_delete": {}},
        {"delete": {"status": {"id": 5.5}}},
        {"delete": {}},
    )
    for nobody in nobodies:
        with pytest.raises(Unreadable, match=r"no id of a (user|post)"):
            DECODERS["x"](json.dumps(nobody).encode())


@pytest.mark.parametrize(
    ("account", "action"),
    [
        ({"active": False, "status": "deleted"}, "delete"),
        ({"status": "deleted"}, "delete"),
        ({"active": False, "status": "takendown"}, "hide"),
        ({"active": False, "status": "suspended"}, "hide"),
        ({"active": False, "status": "deactivated"}, "hide"),
        ({"active": False, "status": "of tomorrow"}, "hide"),
        ({"active": False}, "hide"),
        ({"active": True}, "show"),
        ({"active": True, "status": "desynchronized"}, "show"),
        (None, None),
        ({"status": None}, None),
    ],
)
def test_an_account_of_bluesky_hides_deletes_and_shows(
    account: dict[str, object] | None, action: str | None
) -> None:
    event = {"did": DID, "time_us": 1, "kind": "account", "account": account}
    if action is None:
        assert DECODERS["bluesky"](json.dumps(event).encode()) is None
    else:
        assert said("bluesky", event) == (action, [f"@bluesky:{DID}"])


def test_a_tombstone_deletes_and_an_identity_says_nothing() -> None:
    assert said("bluesky", {"did": DID, "kind": "tombstone"}) == ("delete", [f"@bluesky:{DID}"])
    value = json.dumps({"did": DID, "kind": "identity", "identity": {"handle": "a"}}).encode()
    assert DECODERS["bluesky"](value) is None


@pytest.mark.parametrize(
    ("author", "read_as"),
    [
        ({"id": 7}, Author("7")),
        ({"id": 2**70, "name": "n"}, Author(str(2**70), "n")),
        ({"id": "7", "name": 5, "followers": "many"}, Author("7")),
        (7, Author("7")),
        ("bob", Author("bob")),
        ({"id": 7.0}, None),
        ({"id": True}, None),
        ([7], None),
        ({"name": "n"}, None),
    ],
)
def test_an_authors_id_may_be_a_number(author: object, read_as: Author | None) -> None:
    assert read("weathervane", canonical(author=author)).author == read_as


def test_ids_of_the_others_may_be_numbers_too() -> None:
    assert read("x", ORIGINAL | {"user": {"id": 71}}).author == Author("71")
    status = {"id": 7, "created_at": TIME, "content": "sad", "account": {"id": 10**20}}
    assert read("mastodon", status).author == Author(str(10**20))
    weibo = {"id": 4, "created_at": OLD_TIME, "text": "气", "user": {"id": 32}}
    assert (read("weibo", weibo).id, read("weibo", weibo).author) == ("weibo:4", Author("32"))
    assert read("x", ORIGINAL | {"user": {"id": 7.5}}).author is None
