"""Pictures of the page, for the README: `python -m workers.screenshot FOLDER`.

They show the system that runs from the working directory; `make demo` starts one.
"""

from __future__ import annotations

import base64
import io
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from pipeline.errors import WeathervaneError
from workers.commands.context import running_here

VIEWS = {
    "page": (1280, 1040, "?lang=en"),
    "page-narrow": (390, 844, "?lang=en"),
    "page-zh": (1280, 1040, "?lang=zh"),
}
"""Width and height in CSS pixels, and the query of the address, by the name of the file."""
COLOURS = 256
DRAWN_SECONDS = 20


def take(url: str, out_dir: Path) -> list[Path]:
    """Save the page at `url` in `out_dir`, a PNG file a view.

    Raises:
        WeathervaneError: Chromium or ChromeDriver is not installed, or the page shows no posts.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    saved = []
    for name, (width, height, query) in VIEWS.items():
        with browser(width, height) as driver:
            driver.get(url + query)
            wait_until_drawn(driver)
            shot = driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
        saved.append(_save_small(base64.b64decode(shot["data"]), out_dir / f"{name}.png"))
    return saved


@contextmanager
def browser(width: int, height: int, *, dark: bool = False) -> Iterator[Any]:
    """A headless Chromium of this size in CSS pixels, its console and its network on record.

    Raises:
        WeathervaneError: Chromium or ChromeDriver is not installed.
    """
    from selenium import webdriver

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    chromedriver = shutil.which("chromedriver")
    if chromium is None or chromedriver is None:
        raise WeathervaneError("Install Chromium and ChromeDriver to take pictures of the page.")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--hide-scrollbars",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--lang=en",
        f"--window-size={width},{height}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(chromedriver))
    try:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        yield driver
    finally:
        driver.quit()


def wait_until_drawn(driver: Any) -> None:
    """Return once the page has had its first snapshot and its posts, and a frame to draw them.

    Raises:
        WeathervaneError: it has none of them in time.
    """
    from selenium.common.exceptions import TimeoutException
    from selenium.webdriver.support.ui import WebDriverWait

    ready = """
        return document.querySelector('main').getAttribute('aria-busy') === 'false'
            && document.querySelectorAll('#posts li').length > 0
    """
    frame = "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(done))"
    try:
        WebDriverWait(driver, DRAWN_SECONDS, 0.05).until(lambda d: d.execute_script(ready))
    except TimeoutException as error:
        raise WeathervaneError(f"The page at {driver.current_url} shows nothing.") from error
    driver.execute_async_script(frame)


def _save_small(png: bytes, path: Path) -> Path:
    """Save with few colours: a page is flat, and a third of the bytes show the same."""
    with Image.open(io.BytesIO(png)) as picture:
        few = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
        few.save(path, optimize=True)
    return path


def main(folder: str) -> None:
    """Take the pictures of the page that runs here; a failure is one sentence on stderr."""
    try:
        local = running_here()
        if local is None:
            raise WeathervaneError("There is no page to take: start `make demo` in a terminal.")
        for path in take(local.endpoints().page, Path(folder)):
            print(path)
    except WeathervaneError as error:
        sys.exit(f"weathervane: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
