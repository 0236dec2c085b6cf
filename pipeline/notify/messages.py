"""Messages for people: an alert, or several that waited, as a title and a body of plain text."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

from pipeline.alerts.alert import Alert, Evidence, Term
from pipeline.buckets import MINUTE
from pipeline.notify.config import Language
from pipeline.notify.words import WORDS

TERMS = 5
PARTS = 4
DIGEST_LINES = 20
TERM_CHARACTERS = 40
CONFLICT = 0.5
KEYWORD = "Weathervane"
"""What every title begins with, so that a robot can be set to take messages with this keyword."""
_HARMLESS = frozenset("#_-'’ ")


@dataclass(frozen=True, slots=True)
class Message:
    """What a channel is sent. `alerts` are those it tells of, in the order of their changes."""

    key: str
    """Names the message: the same each time that it is sent."""
    title: str
    body: str
    alerts: tuple[Alert, ...]
    link: str
    test: bool = False


def message_key(alert: Alert) -> str:
    """Id and sequence: names one change of state."""
    return f"{alert.id}/{alert.sequence}"


def compose(alerts: Sequence[Alert], language: Language, page: str, test: bool = False) -> Message:
    """The message about these changes: one in full, several as a digest."""
    if len(alerts) == 1:
        return _single(alerts[0], language, page, test)
    return _digest(alerts, language, page)


def alert_link(alert: Alert, page: str) -> str:
    """The alert on the page, with its posts."""
    query = {"track": alert.track, "range": "all", "alert": alert.id}
    return f"{page.rstrip('/')}/?{urlencode(query)}"


def _single(alert: Alert, language: Language, page: str, test: bool) -> Message:
    words = WORDS[language]
    lines = [words["test_note"]] if test else []
    lines += [_figures(alert, language), *_evidence(alert.evidence, language)]
    link = alert_link(alert, page)
    lines.append(words["link"].format(link=link))
    title = words["keyword"].format(keyword=KEYWORD)
    title += (words["test"] if test else "") + title_of(alert, language)
    return Message(message_key(alert), title, "\n".join(lines), (alert,), link, test)


def _digest(alerts: Sequence[Alert], language: Language, page: str) -> Message:
    """One line an alert, in its latest state, the most severe first."""
    words = WORDS[language]
    latest = {alert.id: alert for alert in alerts}
    ranked = sorted(latest.values(), key=lambda alert: -alert.severity)
    lines = [
        f"• {title_of(alert, language)}{words['gap']}{_figures(alert, language, short=True)}"
        for alert in ranked[:DIGEST_LINES]
    ]
    link = page.rstrip("/") + "/"
    if len(ranked) > DIGEST_LINES:
        lines.append(words["more"].format(count=len(ranked) - DIGEST_LINES, link=link))
    else:
        lines.append(words["link"].format(link=link))
    key = "+".join(message_key(alert) for alert in alerts)
    title = words["keyword"].format(keyword=KEYWORD) + words["digest"].format(count=len(ranked))
    return Message(key, title, "\n".join(lines), tuple(alerts), link)


def title_of(alert: Alert, language: Language) -> str:
    """What happened, in a line."""
    words = WORDS[language]
    track = words["all"] if alert.track == "all" else plain(alert.track)
    series = words.get(alert.series, plain(alert.series))
    return words[alert.state].format(series=series, track=track, severity=alert.severity)


def _figures(alert: Alert, language: Language, short: bool = False) -> str:
    """Observed against expected with its interval, since when, and how unusual. A minute is named
    by its start, as in the charts.
    """
    words = WORDS[language]
    show = percent if alert.unit == "share" else count
    first = words[alert.unit].format(
        observed=show(alert.observed),
        expected=show(alert.expected),
        low=show(max(0.0, alert.low)),
        high=show(alert.high),
        time=_clock(alert.updated_at - timedelta(seconds=MINUTE)),
    )
    if short:
        return first
    posts = count(alert.posts)
    if alert.cleared_at is None:
        onset, end = _moment(alert.onset), _clock(alert.updated_at)
        second = words["since"].format(onset=onset, end=end, posts=posts)
    else:
        onset, end = _moment(alert.onset), _moment(alert.cleared_at)
        second = words["over"].format(onset=onset, end=end, posts=posts)
    said = [first, second]
    if alert.late_posts:
        said.append(words["late"].format(posts=count(alert.late_posts)))
    deviation = f"{alert.deviation:.1f}"
    said.append(words["deviation"].format(deviation=deviation, rule=plain(alert.rule)))
    return words["gap"].join(said)


def _evidence(evidence: Evidence, language: Language) -> list[str]:
    words = WORDS[language]
    lines = []
    for kind, terms in (("terms", evidence.terms), ("hashtags", evidence.hashtags)):
        if terms:
            said = words["comma"].join(_term(term, language) for term in terms[:TERMS])
            lines.append(words[kind].format(terms=said))
    if evidence.organic is not None:
        shares = {"reposts": evidence.repost_share, "copies": evidence.near_duplicate_share}
        said = words["comma"].join(
            words[name].format(share=percent(share))
            for name, share in shares.items()
            if share is not None
        )
        lines.append(words["organic" if evidence.organic else "amplified"].format(shares=said))
    for kind, parts in (("languages", evidence.languages), ("platforms", evidence.platforms)):
        if parts:
            top = sorted(parts.items(), key=lambda part: -part[1])[:PARTS]
            said = words["comma"].join(f"{plain(name)} {percent(share)}" for name, share in top)
            lines.append(words[kind].format(parts=said))
    if evidence.conflict is not None and evidence.conflict >= CONFLICT:
        lines.append(words["conflict"].format(conflict=f"{evidence.conflict:.2f}"))
    return lines


def _term(term: Term, language: Language) -> str:
    values = {"now": percent(term.now), "before": percent(term.before)}
    return WORDS[language]["term"].format(term=plain(term.term), **values)


def plain(text: str) -> str:
    """A stranger's words without what a chat service reads as mention, link or markup."""
    kept = "".join(
        letter
        for letter in text
        if unicodedata.category(letter)[0] in "LMN"
        or unicodedata.category(letter) == "So"
        or letter in _HARMLESS
    )
    return kept[:TERM_CHARACTERS] or "?"


def cut_to_bytes(text: str, most: int) -> str:
    """The text in at most so many bytes of UTF-8: its last line, which holds the link, and as many
    lines before it as there is room for."""
    if len(text.encode()) <= most:
        return text
    *lines, last = text.split("\n")
    room = most - len(f"\n…\n{last}".encode())
    kept = []
    for line in lines:
        room -= len(line.encode()) + 1
        if room < 0:
            break
        kept.append(line)
    cut = "\n".join([*kept, "…", last])
    return cut.encode()[: max(0, most)].decode("utf-8", "ignore")


def percent(share: float) -> str:
    """A share as a per cent; a rare thing is not shown as none."""
    value = 100 * share
    if 0 < value < 0.1:
        return "<0.1%"
    return f"{value:.1f}%" if 0 < value < 1 else f"{value:.0f}%"


def count(value: float) -> str:
    """A number of posts; below 10 with a digit, where it is no whole number."""
    return f"{value:,.1f}" if value < 10 and value != int(value) else f"{value:,.0f}"


def _clock(moment: datetime) -> str:
    return moment.strftime("%H:%M")


def _moment(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M")
