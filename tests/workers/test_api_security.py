"""What every response carries, and what is refused (OWASP ASVS 3.4, 13.2)."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from fastapi import FastAPI

from tests.workers.site import Site, Written
from workers.api.security import HEADERS, Guard

PATHS = [
    "/",
    "/page/app.js",
    "/page/vendor/echarts.common.min.js",
    "/page/i18n/zh.json",
    "/page/nothing.js",
    "/api/v1/tracks",
    "/api/v1/series?step=7",
    "/api/v1/series?track=nothing",
    "/api/v1/posts",
    "/openapi.json",
    "/healthz",
    "/readyz",
    "/metrics",
    "/nothing",
]


def assert_guarded(response: httpx.Response) -> None:
    for name, value in HEADERS.items():
        assert response.headers.get(name) == value, f"{name} on {response.url}"
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "access-control-allow-origin" not in response.headers
    assert "server" not in response.headers


@pytest.mark.servers
def test_every_response_carries_the_policy(site: Site) -> None:
    for path in PATHS:
        assert_guarded(httpx.get(site.address + path))
    assert_guarded(httpx.post(f"{site.address}/api/v1/totals"))
    assert_guarded(httpx.options(f"{site.address}/api/v1/totals"))
    assert_guarded(httpx.head(f"{site.address}/api/v1/stream"))
    with httpx.stream("GET", f"{site.address}/api/v1/stream") as response:
        assert_guarded(response)


@pytest.mark.servers
@pytest.mark.parametrize("path", ["/", "/api/v1/totals", "/api/v1/stream", "/page/app.js"])
def test_foreign_hosts_and_origins_are_refused(site: Site, path: str) -> None:
    address = site.address + path
    rebound = httpx.get(address, headers={"Host": "rebound.example:8600"})
    assert rebound.status_code == 421
    assert_guarded(rebound)
    for headers in (
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
    ):
        response = httpx.get(address, headers=headers)
        assert response.status_code == 403, headers
        assert_guarded(response)


@pytest.mark.servers
def test_the_own_page_and_links_to_it_are_answered(site: Site) -> None:
    site.add([Written("o:1")])
    port = site.address.rsplit(":", 1)[1]
    for headers in (
        {"Origin": site.address, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
        {"Host": f"localhost:{port}"},
        {"Host": f"[::1]:{port}"},
    ):
        assert httpx.get(f"{site.address}/", headers=headers).status_code == 200, headers


def test_a_failure_gets_a_sentence_and_the_policy_but_no_traceback() -> None:
    app = FastAPI()
    app.add_middleware(Guard, hosts={"Weather.example"})

    @app.get("/")
    def fail() -> None:
        raise RuntimeError("secret detail")

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://weather.example"
        ) as client:
            return await client.get("/")

    response = asyncio.run(ask())
    assert response.status_code == 500
    assert "secret" not in response.text
    assert response.json()["error"]
    assert_guarded(response)
