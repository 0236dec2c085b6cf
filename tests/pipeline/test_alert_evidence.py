"""Evidence: words that the posts of a spike share, no single post, and what is amplified."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pipeline.alerts.alert import Alert, Evidence
from pipeline.alerts.evidence import Sample, Shown, of_series, with_posts, with_posts_of
from pipeline.alerts.reconcile import without_posts
from pipeline.buckets import Exemplar
from pipeline.post import Author, IngestedPost
from tests.pipeline.alerts import an_alert

WHEN = datetime(2026, 3, 1, 12, tzinfo=UTC)
ALERT = an_alert(
    track="all",
    series="emotion:anger",
    evidence=Evidence(languages={"en": 1.0}, platforms={"x": 1.0}, conflict=0.25),
)
CALM = [f"{a} {b}" for a in ("quiet morning", "long train", "old book") for b in ("again", "here")]


def shown(*texts: str, authors: int = 1000, **fields: Any) -> Sample:
    """Posts of these texts, by so many authors in turn."""
    return [
        Shown(
            exemplar(f"x:{number}", confidence=number / 1000),
            IngestedPost(
                id=f"x:{number}",
                created_at=WHEN,
                text=text,
                author=Author(id=f"author{number % authors}"),
                **fields,
            ),
        )
        for number, text in enumerate(texts)
    ]


def exemplar(name: str, confidence: float = 0.9) -> Exemplar:
    return Exemplar(
        id=name,
        created_at=0,
        confidence=confidence,
        dominant="anger",
        polarity="negative",
        lang="en",
        platform="x",
        sentiment=0.0,
        modalities=("text",),
        conflict=0.0,
        abstained=False,
        partition=0,
        offset=0,
    )


SPIKE = shown(
    *(f"The referee ruined it {word} #Final" for word in ("completely", "for us", "once more")),
    *(f"what a blind referee, {word}! #final" for word in ("truly", "shame on him", "go home")),
    *CALM,
)


def test_the_words_that_grew_come_first() -> None:
    found = with_posts(ALERT, SPIKE, shown(*CALM * 5))
    assert found.terms[0].term == "referee"
    assert (found.terms[0].now, found.terms[0].before) == (0.5, 0.0)
    assert found.terms[0].ratio > 10
    assert [tag.term for tag in found.hashtags] == ["#final"]
    assert not {"quiet", "train", "book", "again"} & {term.term for term in found.terms}
    assert (found.languages, found.platforms, found.conflict) == ({"en": 1.0}, {"x": 1.0}, 0.25)


def test_a_word_of_few_posts_or_few_authors_is_not_named() -> None:
    two = shown("secret plan one", "secret plan two", *CALM)
    assert with_posts(ALERT, two, shown(*CALM * 5)).terms == ()
    one_author = shown(*(f"secret plan {word}" for word in "abcdefgh"), authors=2)
    assert with_posts(ALERT, one_author, shown(*CALM * 5)).terms == ()
    links = shown(*(f"see https://example.org/secret{n} @someone" for n in range(9)))
    assert {t.term for t in with_posts(ALERT, links, shown(*CALM * 5)).terms} == {"see"}


def test_chinese_terms_are_pairs_of_characters() -> None:
    spike = shown(*(f"{word}裁判太差了" for word in ("今天", "这个", "真是", "就是")))
    before = shown(*("天气不错", "好吃") * 10)
    terms = {term.term for term in with_posts(ALERT, spike, before).terms}
    assert "裁判" in terms


def test_reposts_and_near_duplicates_are_no_organic_wave() -> None:
    bots = shown(*(f"Buy NOW the great coin {n} https://t.co/{n}" for n in range(6)), *CALM[:4])
    found = with_posts(ALERT, bots, [])
    assert (found.near_duplicate_share, found.repost_share, found.organic) == (0.6, 0.0, False)
    reposts = with_posts(ALERT, shown(*CALM, repost_of="x:original"), [])
    assert (reposts.repost_share, reposts.organic) == (1.0, False)
    assert with_posts(ALERT, SPIKE, []).organic


def test_exemplars_are_the_most_confident_of_distinct_texts() -> None:
    texts = ["same words", "Same words!", *(f"other words {a}" for a in "abcdefghijk")]
    found = with_posts(ALERT, shown(*texts), []).exemplars
    assert found == tuple(f"x:{number}" for number in range(12, 4, -1))
    assert with_posts(ALERT, shown("same words", "Same words!"), []).exemplars == ("x:1",)


def test_without_posts_nothing_is_claimed() -> None:
    found = with_posts(ALERT, [], [])
    assert found == ALERT.evidence
    assert found.organic is None


def test_posts_are_kept_while_sums_go_on() -> None:
    before = with_posts(ALERT, SPIKE, shown(*CALM))
    now = with_posts_of(before, Evidence(languages={"zh": 1.0}))
    assert (now.languages, now.exemplars, now.terms) == (
        {"zh": 1.0},
        before.exemplars,
        before.terms,
    )


def test_which_posts_count_for_a_series() -> None:
    one = exemplar("x:1")
    assert [
        of_series(one, series)
        for series in ("volume", "emotion:anger", "emotion:joy", "polarity:negative")
    ] == [True, True, False, True]
    assert not of_series(one, "polarity:positive")


def test_no_state_that_is_left_names_a_post_that_is_gone() -> None:
    def state(name: str, sequence: int, *posts: str) -> Alert:
        return an_alert(name, sequence=sequence, evidence=Evidence(exemplars=posts))

    def gone(post: str) -> bool:
        return post == "x:1"

    fired, other = state("a", 1, "x:1", "x:2"), state("b", 1, "x:3")
    anew = state("a", 1, "x:2")
    assert without_posts([fired, other], gone) == [anew]
    assert without_posts([fired, other, anew], gone) == []
    # The monitor was faster: what it said must not be left behind an older state.
    grown = state("a", 2, "x:1", "x:2")
    assert without_posts([fired, grown, anew], gone) == [state("a", 2, "x:2")]
    cleared = state("a", 2, "x:2")
    assert without_posts([fired, cleared, anew], gone) == [cleared]
    assert without_posts([fired, cleared, anew, cleared], gone) == []
