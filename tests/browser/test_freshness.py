"""What the page says while the store hangs, and of its delay and of what waits."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.settings import Settings
from tests.browser.test_page import a_day, figure, open_page, pytestmark, shows, text
from tests.waiting import until
from tests.workers.own_redis import own_redis
from tests.workers.site import Site, serve
from workers.screenshot import browser

__all__ = ["pytestmark"]

SAID_SECONDS = 5.0


@pytest.fixture(scope="module")
def wide() -> Iterator[Any]:
    with browser(1280, 900) as driver:
        yield driver


def colour(driver: Any, selector: str) -> str:
    found: str = driver.find_element("css selector", selector).value_of_css_property("color")
    return found


@pytest.mark.parametrize(("language", "said"), [("en", "Store unavailable"), ("zh", "无响应")])
def test_a_store_that_hangs_is_said_and_greys_the_figures(
    site_settings: Settings, wide: Any, tmp_path: Path, language: str, said: str
) -> None:
    with own_redis(tmp_path / "redis") as store:
        settings = site_settings.model_copy(update={"redis": store.url})
        with serve(settings, "hangs", tick=1.0) as site:
            site.add(a_day("hangs", 100))
            open_page(wide, site, f"?lang={language}")
            fresh = colour(wide, "[data-figure=posts] .value")
            store.signal(signal.SIGSTOP)
            began = time.monotonic()
            shows(wide, "it says so", lambda: said in text(wide, "#badge-text"))
            assert time.monotonic() - began < SAID_SECONDS
            assert colour(wide, "[data-figure=posts] .value") != fresh
            assert figure(wide, "posts") == "100", "what was known stays to be read"
            wide.save_screenshot(str(tmp_path / f"hangs-{language}.png"))
            # Who comes now is told as well, and sees everything once it is over.
            began = time.monotonic()
            wide.get(f"{site.address}/?lang={language}")
            shows(wide, "it says so", lambda: said in text(wide, "#badge-text"))
            assert time.monotonic() - began < SAID_SECONDS
            store.signal(signal.SIGCONT)
            shows(wide, "it is live", lambda: figure(wide, "posts") == "100")
            shows(wide, "it is live", lambda: said not in text(wide, "#badge-text"))
            tracks = "return [...document.getElementById('track').options].map((o) => o.value)"
            until(lambda: wide.execute_script(tracks) == ["all", "brand"], "its tracks are known")
            assert colour(wide, "[data-figure=posts] .value") == fresh


def test_a_delay_of_long_ago_is_not_shown(site: Site, wide: Any) -> None:
    site.add(a_day("delay", 50))
    open_page(wide, site)
    assert figure(wide, "delay") != "–"
    position = site.folder.keys(0).position
    site.folder.client.hincrby(position, "delay_at_ms", -61_000)
    shows(wide, "there is no delay of now", lambda: figure(wide, "delay") == "–")
    shows(wide, "the lag is told", lambda: "records waiting" in text(wide, "[data-figure=delay]"))
