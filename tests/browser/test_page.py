"""The page in a real browser, over a real store and real posts."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from pipeline.event import Emotion
from tests.waiting import until
from tests.workers.site import Site, Written
from workers.screenshot import browser, take, wait_until_drawn

pytestmark = [
    pytest.mark.servers,
    pytest.mark.browser,
    pytest.mark.skipif(
        shutil.which("chromium") is None or shutil.which("chromedriver") is None,
        reason="Chromium and ChromeDriver are not installed",
    ),
]

EMOTIONS: tuple[Emotion, ...] = (
    "joy",
    "surprise",
    "neutral",
    "sadness",
    "fear",
    "disgust",
    "anger",
)
SHIFTS = """
window.shifted = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifted += entry.value;
}).observe({type: 'layout-shift', buffered: true});
"""
INK = """
const canvas = document.querySelector('#' + arguments[0] + ' canvas');
const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
const seen = {};
for (let at = 0; at < pixels.length; at += 4) {
  const colour = pixels.slice(at, at + 4).join();
  seen[colour] = (seen[colour] ?? 0) + 1;
}
return Object.values(seen).filter((count) => count > 20).length;
"""


SERIES = """
const done = arguments[0];
const counts = (posts) => ({
  posts, emotions: {joy: posts}, polarity: {}, platforms: {}, languages: {},
  late: 0, abstained: 0, sentiment: 0.5,
});
const bucket = (start, posts) => ({start, counts: counts(posts)});
import('/page/series.js').then(({Series}) => {
  const buckets = [bucket(600, 1), bucket(1140, 2)];
  const view = new Series({step: 60, from: 600, to: 1200, buckets});
  const delta = {buckets: [bucket(1140, 5), bucket(1200, 7)], freshness: {last_event_ms: 1230_000}};
  const states = [];
  for (let times = 0; times < 2; times += 1) {
    view.apply(delta, true);
    states.push([view.start, view.end, view.starts().length, view.sum().posts]);
  }
  const wide = view.readable(6, 2);
  done([states, wide.step, wide.sum().posts]);
});
"""


def a_day(prefix: str, posts: int = 400) -> list[Written]:
    """Posts over a day, enough for every chart."""
    rng = random.Random(3)
    return [
        Written(
            f"{prefix}:{at}",
            f"post number {at}",
            rng.random() * 1400,
            rng.choice(EMOTIONS),
            ("all", "brand") if at % 5 == 0 else ("all",),
            rng.choice(["bluesky", "weibo", "mastodon"]),
            rng.choice(["en", "zh"]),
        )
        for at in range(posts)
    ]


@pytest.fixture(scope="module")
def wide() -> Iterator[Any]:
    with browser(1280, 900) as driver:
        yield driver


@pytest.fixture(scope="module")
def narrow() -> Iterator[Any]:
    with browser(390, 844) as driver:
        yield driver


def open_page(driver: Any, site: Site, query: str = "?lang=en") -> None:
    driver.get_log("browser")
    driver.get_log("performance")
    driver.get(f"{site.address}/{query}")
    wait_until_drawn(driver)


def text(driver: Any, selector: str) -> str:
    found: str = driver.find_element("css selector", selector).text
    return found


def figure(driver: Any, name: str) -> str:
    return text(driver, f"[data-figure={name}] .value")


def press(driver: Any, selector: str) -> None:
    driver.find_element("css selector", selector).click()


def complaints(driver: Any) -> list[str]:
    return [entry["message"] for entry in driver.get_log("browser")]


def requested(driver: Any) -> list[str]:
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    return [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]


def shows(driver: Any, what: str, condition: Callable[[], bool]) -> None:
    def holds() -> bool:
        try:
            return condition()
        except Exception as error:
            if "stale element" in str(error):
                return False
            raise

    until(holds, what)


def test_it_draws_every_chart_and_asks_nobody_else(site: Site, wide: Any) -> None:
    site.add(a_day("draw"))
    open_page(wide, site)
    assert figure(wide, "posts") == "400"
    assert text(wide, "#badge-text") == "Live"
    for chart in ("emotion-chart", "polarity-chart", "volume-chart"):
        assert wide.execute_script(INK, chart) >= 5, f"{chart} is empty"
        assert "%" in wide.find_element("id", chart).get_attribute("aria-label")
    addresses = requested(wide)
    assert len(addresses) > 8
    assert {urlsplit(address).netloc for address in addresses if "data:" not in address} == {
        urlsplit(site.address).netloc
    }
    assert complaints(wide) == []


def test_new_posts_move_it_without_a_reload_or_a_shift(site: Site, wide: Any, narrow: Any) -> None:
    site.add(a_day("live", 100))
    for driver in (wide, narrow):
        script = driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": SHIFTS})
        open_page(driver, site)
        driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)
    assert figure(wide, "posts") == "100"
    site.add([Written(f"more:{at}", "brand new", 1399, "fear") for at in range(5000)])
    for driver in (wide, narrow):
        moves_without_a_shift(driver)


def moves_without_a_shift(driver: Any) -> None:
    shows(driver, "the figure moves", lambda: figure(driver, "posts") == "5,100")
    shows(driver, "the posts come", lambda: "brand new" in text(driver, "#posts"))
    assert "Fear leads" in text(driver, "#headline")
    assert driver.execute_script("return window.shifted") < 0.05
    assert complaints(driver) == []


def test_figures_are_those_of_the_api(site: Site, wide: Any) -> None:
    posts = a_day("same", 300)
    posts += [Written("same:0", minute=1), Written("late", minute=3)]
    site.add(posts)
    open_page(wide, site, "?lang=en&range=all")
    totals = site.store.totals(["all"])["all"]
    assert figure(wide, "posts") == str(totals.posts) == "301"
    assert figure(wide, "duplicates") == "1"
    rows = wide.find_elements("css selector", "#breakdown button")
    counts = {row.get_attribute("value"): row.text.split("\n")[-1].split()[-1] for row in rows}
    assert counts == {name: str(totals.emotions.get(name, 0)) for name in EMOTIONS}
    assert "n = 301" in text(wide, "#breakdown-note")


@pytest.mark.parametrize(
    ("language", "names", "said"),
    [
        (
            "en",
            ["Uncertain", "Nothing readable"],
            "40% of 100 posts have no emotion: nothing readable in 30, uncertain about 10",
        ),
        (
            "zh",
            ["不确定", "无可读内容"],
            "100 条帖子中 40% 未判定情绪：无可读内容 30 条，不确定 10 条",
        ),
    ],
)
def test_posts_without_an_emotion_stand_beside_the_emotions(
    site: Site, wide: Any, language: str, names: list[str], said: str
) -> None:
    site.add(silent_day())
    open_page(wide, site, f"?lang={language}")
    rows = [row.text.split("\n") for row in wide.find_elements("css selector", "#breakdown li")]
    shown = {row[0]: " ".join(row[1:]) for row in rows}
    assert len(shown) == len(EMOTIONS) + 2
    assert [shown[name] for name in names] == ["10% 10", "30% 30"]
    assert wide.find_element("id", "silence").is_displayed()
    assert said in text(wide, "#silence")
    # Joy is 45 of 100, and the mean is of the 60 that have an emotion.
    assert "45%" in text(wide, "#headline")
    assert figure(wide, "sentiment") == "+0.37"
    assert "60" in text(wide, "[data-figure=sentiment] .note")
    assert "https://" not in text(wide, "#posts")
    # A track of which less is silent says nothing of it.
    press(wide, "#track option[value=brand]")
    shows(wide, "the track's posts are shown", lambda: figure(wide, "posts") == "60")
    assert not wide.find_element("id", "silence").is_displayed()
    assert complaints(wide) == []


def silent_day() -> list[Written]:
    """Of 100 posts 30 that nobody can read and 10 of which the model is not sure."""
    posts = [Written(f"silent:{n}", "https://t.co/x", n, unread=True) for n in range(30)]
    posts += [Written(f"silent:u{n}", "https://hm", 30 + n, abstained=True) for n in range(10)]
    for number in range(60):
        emotion: Emotion = "joy" if number < 45 else "anger"
        posts.append(Written(f"silent:r{number}", "a post", 40 + number, emotion, ("all", "brand")))
    return posts


def test_nothing_but_posts_without_an_emotion(site: Site, wide: Any) -> None:
    site.add([Written(f"none:{n}", "https://t.co/x", n, unread=True) for n in range(4)])
    open_page(wide, site)
    assert text(wide, "#headline") == "No emotion can be given for any of 4 posts"
    assert figure(wide, "sentiment") == "–"
    shows(wide, "why", lambda: text(wide, "#posts") == "No posts with an emotion yet.")
    site.add([Written("none:n", "it is nine", 5, "neutral")])
    shows(wide, "the post comes", lambda: "it is nine" in text(wide, "#posts"))
    assert text(wide, "#headline") == "No emotion leads: 20% of 5 posts are neutral"
    assert complaints(wide) == []


def test_choices_change_what_is_shown_and_are_kept_in_the_address(site: Site, wide: Any) -> None:
    site.add(a_day("choose"))
    open_page(wide, site)
    press(wide, "#track option[value=brand]")
    shows(wide, "the track's posts are shown", lambda: figure(wide, "posts") == "80")
    press(wide, "#range button[value='1h']")
    shows(wide, "the hour is shown", lambda: "Last 1 h" in text(wide, "#period"))
    press(wide, "#mode button[value=shares]")
    press(wide, "#volume-by button[value=languages]")
    shows(wide, "languages are shown", lambda: "Chinese" in text(wide, "#volume-legend"))
    for part in ("track=brand", "range=1h", "mode=shares", "by=languages"):
        assert part in wide.current_url
    before = figure(wide, "posts")
    open_page(wide, site, "?" + urlsplit(wide.current_url).query)
    assert figure(wide, "posts") == before
    assert complaints(wide) == []


def test_an_emotion_is_chosen_with_the_keyboard(site: Site, wide: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    site.add(a_day("keys"))
    open_page(wide, site)
    row = wide.find_element("css selector", "#breakdown button[value=anger]")
    row.send_keys(Keys.ENTER)
    shows(
        wide,
        "only angry posts are shown",
        lambda: (
            {c.text.split()[0] for c in wide.find_elements("css selector", ".chip")} == {"Anger"}
        ),
    )
    assert row.get_attribute("aria-pressed") == "true"
    wide.find_element("id", "clear-filter").send_keys(Keys.SPACE)
    shows(
        wide,
        "all posts are shown",
        lambda: len({c.text for c in wide.find_elements("css selector", ".chip")}) > 1,
    )


def test_the_language_is_switched_and_remembered(site: Site, wide: Any) -> None:
    site.add(a_day("language", 50))
    open_page(wide, site, "?lang=en")
    assert text(wide, "#emotion-title") == "Emotion over time"
    press(wide, "[data-language=zh]")
    shows(wide, "it is Chinese", lambda: text(wide, "#emotion-title") == "情绪走势")
    assert "居首" in text(wide, "#headline")
    assert wide.execute_script("return document.documentElement.lang") == "zh-CN"
    open_page(wide, site, "")
    assert text(wide, "#posts-title") == "最新帖子"
    assert (
        wide.execute_script("return document.body.innerText.match(/[a-z]+\\.[a-z]+[a-z.]*/)")
        is None
    )
    wide.execute_script("localStorage.clear()")
    assert complaints(wide) == []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_phone_needs_no_sideways_scrolling(site: Site, narrow: Any, language: str) -> None:
    posts = a_day("phone", 200)
    posts += [Written("long", "w" * 400, 1401), Written("url", "https://e.org/" + "a" * 300, 1402)]
    site.add(posts)
    open_page(narrow, site, f"?lang={language}")
    width = narrow.execute_script("return document.documentElement.scrollWidth")
    assert width == narrow.execute_script("return window.innerWidth") == 390
    small = narrow.execute_script(
        "return [...document.querySelectorAll('p, dd, dt, li, button')].filter((node) =>"
        "node.textContent.trim() && parseFloat(getComputedStyle(node).fontSize) < 12).length"
    )
    assert small == 0


def test_an_empty_store_says_so(site: Site, wide: Any) -> None:
    open_page(wide, site)
    assert text(wide, "#headline") == "No posts yet"
    assert text(wide, "#posts") == "No posts yet."
    assert figure(wide, "sentiment") == "–"
    site.add([Written("first", "the very first", 10)])
    shows(wide, "the first post comes", lambda: "the very first" in text(wide, "#posts"))
    assert figure(wide, "posts") == "1"
    assert "read the shares with care" in text(wide, "#period")
    assert complaints(wide) == []


def test_a_delta_applied_twice_changes_nothing_and_moves_the_window(site: Site, wide: Any) -> None:
    open_page(wide, site)
    states, step, posts = wide.execute_async_script(SERIES)
    assert states == [[660, 1260, 10, 12]] * 2
    assert (step, posts) == (300, 12)


def test_posts_stay_while_someone_reads_them(site: Site, wide: Any) -> None:
    from selenium.webdriver import ActionChains

    site.add([Written("read:1", "being read", 10)])
    open_page(wide, site)
    shows(wide, "the post is there", lambda: "being read" in text(wide, "#posts"))
    card = wide.find_element("css selector", "#posts .post")
    ActionChains(wide).move_to_element(card).perform()
    site.add([Written("read:2", "the next one", 11)])
    shows(wide, "the figure moves", lambda: figure(wide, "posts") == "2")
    asked = wide.execute_script("return performance.now()")
    until(
        lambda: wide.execute_script("return performance.now()") - asked > 5_000,
        "a refresh would have come",
    )
    assert "the next one" not in text(wide, "#posts")
    ActionChains(wide).move_to_element(wide.find_element("id", "headline")).perform()
    shows(wide, "the next post comes", lambda: "the next one" in text(wide, "#posts"))


def test_pictures_of_the_page_are_small(site: Site, tmp_path: Path) -> None:
    from PIL import Image

    site.add(a_day("shot"))
    saved = take(site.address, tmp_path)
    assert [path.name for path in saved] == ["page.png", "page-narrow.png", "page-zh.png"]
    for path, size in zip(saved, [(1280, 1040), (390, 844), (1280, 1040)], strict=True):
        assert path.stat().st_size < 150_000
        with Image.open(path) as picture:
            assert picture.size == size
            assert len(picture.convert("RGB").getcolors(1 << 20) or ()) > 30
