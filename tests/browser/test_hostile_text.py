"""Strangers' text as post, platform, language, address and track executes nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from pipeline.post import Media
from tests.workers.site import Site, Written
from workers.screenshot import browser, wait_until_drawn

pytestmark = [
    pytest.mark.servers,
    pytest.mark.browser,
    pytest.mark.skipif(
        shutil.which("chromium") is None or shutil.which("chromedriver") is None,
        reason="Chromium and ChromeDriver are not installed",
    ),
]

OWN = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    '"><img src=x onerror=alert(1)>',
    "' autofocus onfocus=alert(1) x='",
    "</option></select><script>alert(1)</script>",
    "{{constructor.constructor('alert(1)')()}}",
    "${alert(1)}",
    "javascript:alert(1)",
    "<iframe srcdoc='<script>parent.alert(1)</script>'></iframe>",
    "<a href=javascript:alert(1)>click</a>",
    "{c|<b>rich text of a chart</b>}",
    "__proto__",
    "\u202eright to left\u202c <b>b</b>",
]
SHARED = Path(__file__).resolve().parents[3] / "shared/samples/hostile/xss/strings.jsonl"
WATCH = """
window.executed = [];
for (const name of ['alert', 'confirm', 'prompt', 'print', 'open']) {
  window[name] = (...all) => window.executed.push([name, ...all].join(' '));
}
document.addEventListener('securitypolicyviolation', (event) =>
  window.executed.push(`blocked ${event.violatedDirective} ${event.sample}`));
"""
RENDER = """
const [texts, done] = arguments;
const post = (text) => ({
  id: text, created_at: '2026-11-18T00:00:00Z', platform: text, lang: text, dominant: 'joy',
  polarity: 'positive', confidence: 0.5, sentiment: 0, modalities: [text, 'text'], conflict: 1,
  abstained: true, text, missing: null, truncated: false, url: text,
  media: [{kind: 'image', alt: text, picture: 'data:image/jpeg;base64,AAAA'}],
});
import('/page/posts.js').then(({showPosts}) => {
  const list = document.createElement('ol');
  document.body.append(list);
  showPosts(list, texts.map(post), null);
  const shown = [...list.querySelectorAll('.text')].map((node) => node.textContent);
  const inside = list.querySelectorAll('.text *, footer span *').length;
  const names = [...new Set([...list.querySelectorAll('*')].map((node) => node.localName))];
  const schemes = [...list.querySelectorAll('a')].map((node) => new URL(node.href).protocol);
  requestAnimationFrame(() => setTimeout(() => done([shown, inside, names, schemes]), 300));
});
"""
ATTEMPTS = """
const attempts = {
  innerHTML: () => { document.body.innerHTML = '<img src=x onerror=alert(1)>'; },
  onclick: () => document.createElement('b').setAttribute('onclick', 'alert(1)'),
  srcdoc: () => { document.createElement('iframe').srcdoc = '<script>alert(1)</script>'; },
  'src of a script': () => { document.createElement('script').src = 'data:,alert(1)'; },
};
return Object.keys(attempts).filter((name) => {
  try { attempts[name](); return false; } catch { return true; }
});
"""
ELEMENTS = {
    "li", "article", "header", "span", "svg", "path", "div", "p", "img", "footer", "time", "a",
}  # fmt: skip


def corpus() -> list[str]:
    """Own strings, and the shared corpus where this checkout has it beside it."""
    if not SHARED.is_file():
        return OWN
    lines = SHARED.read_text("utf-8").splitlines()
    return OWN + [json.loads(line)["s"] for line in lines]


def open_watched(driver: Any, site: Site, query: dict[str, str]) -> None:
    driver.get(f"{site.address}/?{urlencode(query)}")
    wait_until_drawn(driver)


def executed(driver: Any) -> list[str]:
    found: list[str] = driver.execute_script("return window.executed")
    return found


def test_hostile_posts_and_tracks_go_the_whole_way_as_text(site: Site) -> None:
    jpeg = b"\xff\xd8\xff no picture"
    site.add(
        [
            Written(
                f"x:{at}",
                text,
                at,
                "joy",
                ("all", text),
                platform=text,
                lang=text,
                url=text,
                media=(Media("image", data=jpeg, alt=text),),
            )
            for at, text in enumerate(OWN)
        ]
    )
    with browser(1280, 900) as driver:
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
        open_watched(driver, site, {"lang": "en"})
        shown = [node.text for node in driver.find_elements("css selector", "#posts .text")]
        assert len(shown) == 12
        options = driver.find_elements("css selector", "#track option")
        assert {option.get_attribute("value") for option in options} == {"all", *OWN}
        for text in OWN:
            open_watched(driver, site, {"lang": "en", "track": text, "by": "platforms"})
            found = driver.find_elements("css selector", "#posts .text")
            assert [node.get_attribute("textContent") for node in found] == [text]
            assert driver.find_elements("css selector", "#posts .text *") == []
            assert executed(driver) == []
            # A broken picture is an error of the network, not of the page.
            assert [
                entry["message"]
                for entry in driver.get_log("browser")
                if "data:image/jpeg" not in entry["message"]
            ] == []


def test_the_corpus_is_shown_letter_by_letter_and_executes_nothing(site: Site) -> None:
    texts = corpus()
    with browser(1280, 900) as driver:
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
        open_watched(driver, site, {"lang": "en"})
        driver.set_script_timeout(60)
        shown, inside, names, schemes = driver.execute_async_script(RENDER, texts)
        assert shown == [text for text in texts if text]
        assert inside == 0
        assert set(names) <= ELEMENTS
        assert set(schemes) <= {"http:", "https:"}
        assert executed(driver) == []


def test_the_policy_stops_markup_even_if_the_page_were_to_parse_it(site: Site) -> None:
    """The second line of defence works: the first one is not what this test relies on."""
    with browser(1280, 900) as driver:
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
        open_watched(driver, site, {"lang": "en"})
        refused = driver.execute_script(ATTEMPTS)
        assert refused == ["innerHTML", "onclick", "srcdoc", "src of a script"]
        assert [said for said in executed(driver) if said.startswith("alert")] == []
