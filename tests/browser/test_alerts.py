"""The panel of alerts in a real browser: what it says, what it does, and what it never executes."""

from __future__ import annotations

import random
import shutil
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from pipeline.alerts.alert import Acknowledgement, Alert, Evidence, Term
from pipeline.event import Emotion
from tests.browser.test_hostile_text import OWN, WATCH
from tests.browser.test_page import complaints, open_page, press, shows, text
from tests.pipeline.alerts import ONSET, an_alert, cleared, updated
from tests.workers.site import Site, Written
from tests.workers.test_api_alerts import commands
from workers.screenshot import browser

pytestmark = [
    pytest.mark.servers,
    pytest.mark.browser,
    pytest.mark.skipif(
        shutil.which("chromium") is None or shutil.which("chromedriver") is None,
        reason="Chromium and ChromeDriver are not installed",
    ),
]
ONSET_MINUTE = 14 * 60


def spike(track: str, name: str, **changes: Any) -> Alert:
    """An alert whose exemplars are posts of `day`."""
    exemplars = tuple(f"{track}:spike{n}" for n in range(3))
    evidence = msgspec.structs.replace(an_alert().evidence, exemplars=exemplars)
    return an_alert(f"{track}-{name}", **({"track": track, "evidence": evidence} | changes))


def day(track: str) -> list[Written]:
    """Two hours of posts before a spike of joy, and the spike."""
    rng = random.Random(5)
    tracks = ("all", track)
    posts = []
    for minute in range(ONSET_MINUTE - 120, ONSET_MINUTE + 4):
        share = 0.5 if minute >= ONSET_MINUTE else 0.18
        for n in range(rng.randrange(8, 14)):
            emotion: Emotion = "joy" if rng.random() < share else "neutral"
            at = minute + rng.random()
            posts.append(Written(f"{track}:{minute}:{n}", "a post", at, emotion, tracks))
    said = ["Free espresso all day!", "今天的咖啡免费，太开心了", "Best coffee day ever #coffeeday"]
    posts += [
        Written(f"{track}:spike{n}", words, ONSET_MINUTE + 4, "joy", tracks, url="https://e.org/p")
        for n, words in enumerate(said)
    ]
    return posts


@pytest.fixture
def track() -> str:
    return f"t{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def wide() -> Iterator[Any]:
    with browser(1280, 1200) as driver:
        yield driver


def rows(driver: Any) -> list[str]:
    return [row.get_attribute("id") for row in driver.find_elements("css selector", ".alert")]


def test_an_alert_says_what_and_why_and_opens_on_its_evidence(
    site: Site, wide: Any, track: str
) -> None:
    site.add(day(track))
    alert = spike(track, "joy", severity=7)
    over = cleared(spike(track, "old", onset=ONSET - timedelta(hours=3)))
    site.alert(over, spike(track, "mild", severity=2, series="volume", unit="posts"), alert)
    open_page(wide, site, f"?lang=en&track={track}")
    shows(wide, "the alerts come", lambda: len(rows(wide)) == 3)
    assert rows(wide) == [f"alert-{track}-{name}" for name in ("joy", "mild", "old")]
    assert text(wide, "#alerts-count") == "2 active"
    first = text(wide, f"#alert-{alert.id}")
    assert "42% of posts at 14:04, expected 18% (12%–25%)" in first
    assert "Amplified" in first
    shows(
        wide,
        "the spike is drawn",
        lambda: bool(wide.find_elements("css selector", f"#alert-{alert.id} .spark-line")),
    )
    press(wide, f"#alert-{alert.id} .alert-name")
    shows(wide, "its posts come", lambda: "Free espresso all day!" in text(wide, ".alert-posts"))
    detail = text(wide, ".alert-detail")
    for said in ("espresso", "31%, before 2%", "#coffeeday", "English", "62% reposts", "12.3"):
        assert said in detail
    assert f"alert={alert.id}" in wide.current_url
    press(wide, "[data-language=zh]")
    shows(wide, "it is Chinese", lambda: "占帖子的 42%" in text(wide, f"#alert-{alert.id}"))
    press(wide, "[data-language=en]")
    wide.execute_script("localStorage.clear()")
    assert complaints(wide) == []


def test_a_link_opens_its_alert_and_the_stream_moves_it(site: Site, wide: Any, track: str) -> None:
    site.add(day(track))
    alert = spike(track, "joy")
    site.alert(alert)
    open_page(wide, site, f"?lang=en&track={track}&range=all&alert={alert.id}")
    shows(wide, "it is open", lambda: bool(wide.find_elements("css selector", ".alert-detail")))
    site.alert(grown := updated(alert, 9))
    shows(wide, "it grows", lambda: text(wide, ".severity").endswith("9"))
    site.alert(cleared(grown))
    shows(wide, "it is over", lambda: "Back to normal" in text(wide, f"#alert-{alert.id}"))
    assert "No active alert" in text(wide, "#alert-list")
    assert text(wide, "#alerts-count") == ""
    assert complaints(wide) == []


def test_an_alert_is_acknowledged_and_muted_with_the_keyboard(
    site: Site, wide: Any, track: str
) -> None:
    from selenium.webdriver.common.keys import Keys

    site.add(day(track))
    alert = spike(track, "joy")
    site.alert(alert)
    open_page(wide, site, f"?lang=en&track={track}")
    shows(wide, "the alert comes", lambda: len(rows(wide)) == 1)
    wide.find_element("css selector", "[data-do=acknowledge]").send_keys(Keys.ENTER)
    shows(wide, "the monitor is asked", lambda: len(commands(site, track)) == 1)
    assert not wide.find_element("css selector", "[data-do=mute]").is_enabled()
    known = msgspec.structs.replace(
        alert, sequence=2, acknowledged=Acknowledgement("page", ONSET + timedelta(minutes=6))
    )
    site.alert(known)
    shows(wide, "it is known", lambda: "Acknowledged by page, 14:06" in text(wide, ".alert-when"))
    wide.find_element("css selector", "[data-do=mute]").send_keys(Keys.SPACE)
    shows(wide, "the monitor is asked again", lambda: len(commands(site, track)) == 2)
    assert [c.action for c in commands(site, track)] == ["acknowledge", "mute"]
    site.alert(msgspec.structs.replace(known, sequence=3, muted=True))
    shows(wide, "it is muted", lambda: "not delivered" in text(wide, ".alert-when"))
    assert wide.find_element("css selector", "[data-do=unmute]").is_enabled()
    assert complaints(wide) == []


def test_a_monitor_that_does_not_answer_is_said(site: Site, wide: Any, track: str) -> None:
    site.add(day(track))
    site.alert(spike(track, "joy"))
    open_page(wide, site, f"?lang=en&track={track}")
    shows(wide, "the alert comes", lambda: len(rows(wide)) == 1)
    press(wide, "[data-do=mute]")
    shows(
        wide,
        "the silence is named",
        lambda: "has not answered yet" in text(wide, "#alert-list"),
    )


def test_strangers_words_in_alerts_are_text(site: Site, track: str) -> None:
    terms = tuple(Term(words, 0.5, 0.0, 9.0) for words in OWN)
    tracks = tuple(dict.fromkeys(("all", track)))
    site.add([Written(f"{track}:0", OWN[1], ONSET_MINUTE + 1, "joy", tracks, platform=OWN[0])])
    alerts = [
        an_alert(
            f"{track}{at}",
            track=track,
            series=f"emotion:{words}" if at % 2 else words,
            rule=words,
            acknowledged=Acknowledgement(words, ONSET),
            evidence=Evidence(
                exemplars=(f"{track}:0",),
                terms=terms[at:],
                hashtags=terms[at:],
                languages={words: 1.0},
                platforms={words: 1.0},
            ),
        )
        for at, words in enumerate(OWN)
    ]
    site.alert(*alerts)
    with browser(1280, 900) as driver:
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
        for alert in alerts:
            open_page(driver, site, f"?lang=en&track={track}&alert={alert.id}")
            shows(
                driver,
                "the alert is open",
                lambda: bool(driver.find_elements("css selector", ".alert-detail .text")),
            )
            shown = driver.find_elements("css selector", ".alert-detail .term b")
            assert shown[0].get_attribute("textContent") == alert.evidence.terms[0].term
            assert (
                driver.find_elements("css selector", ".alert-list :is(script, img, iframe)") == []
            )
            assert driver.execute_script("return window.executed") == []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_phone_needs_no_sideways_scrolling_for_alerts(
    site: Site, track: str, language: str
) -> None:
    site.add(day(track))
    long = Evidence(terms=(Term("w" * 80, 0.5, 0.1, 5.0),), exemplars=(f"{track}:spike0",))
    site.alert(spike(track, "joy"), spike(track, "long", evidence=long, severity=10))
    with browser(390, 844) as driver:
        open_page(driver, site, f"?lang={language}&track={track}&alert={track}-long")
        shows(
            driver,
            "it is open",
            lambda: bool(driver.find_elements("css selector", ".alert-detail")),
        )
        assert driver.execute_script("return document.documentElement.scrollWidth") == 390
