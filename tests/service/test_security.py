"""Who may ask, by which name, from which page; and what every answer says to browsers."""

from __future__ import annotations

import asyncio
import base64
import logging
import re
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr

from lociscope.service import routes
from lociscope.service.dictionary import INDEX

KEY = "correct-horse-battery"
HTML = {"accept": "text/html"}
Serve = Callable[..., Any]


@pytest.mark.parametrize("address", ["/", "/docs", "/predict", "/nope", "/static/style.css", "/healthz"])
def test_every_answer_tells_browsers_what_is_not_to_be_done(serve: Serve, address: str) -> None:
    headers = serve().get(address, headers=HTML).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers.get("cache-control") == (None if address.startswith("/static") else "no-store")
    assert "server" not in headers
    assert "set-cookie" not in headers


@pytest.mark.parametrize("address", ["/", "/docs", "/examples/microtubules", "/nope"])
def test_pages_hold_no_script_style_or_foreign_address(serve: Serve, address: str) -> None:
    page = serve().get(address, headers=HTML).text
    ours = r'<script (?:type="module" )?src="[./]+static/(?:app|viewer)\.js"(?: defer)?></script>'
    assert len(re.findall("<script", page)) == len(re.findall(ours, page)) in (1, 2)
    assert "style=" not in page
    assert "<style" not in page
    foreign = re.findall(r'([a-z]+)="((?:https?:)?//[^"]*)', page)
    assert not [part for part in foreign if part[0] != "href" or not part[1].startswith(INDEX)]  # links, nothing loaded


@pytest.mark.parametrize(
    ("host", "served"),
    [
        ("localhost", True),
        ("LOCALHOST:8000", True),
        ("127.0.0.1:80", True),
        ("[::1]:8000", True),
        ("192.168.1.7:8000", True),
        ("[fe80::1]", True),
        ("evil.example", False),
        ("192.168.1.7.evil.example", False),
        ("192.168.1", False),
        ("localhost.evil.example", False),
        ("", False),
        ("[", False),
    ],
)
def test_by_other_names_a_local_service_is_not_served(serve: Serve, host: str, served: bool) -> None:
    client = serve()
    for address in ("/", "/metrics"):
        answer = client.get(address, headers={"host": host})
        assert answer.status_code == (200 if served else 400)
    assert served or "does not accept the host name" in answer.json()["error"]


def test_a_proxy_s_name_may_be_allowed(serve: Serve) -> None:
    client = serve(allow_host=("Cells.example",))
    assert client.get("/", headers={"host": "cells.example"}).status_code == 200
    assert client.get("/", headers={"host": "other.example"}).status_code == 400


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("host", ["pod-7.cells.svc", "", "[", "10.1.2.3:80"])
def test_a_health_probe_passes_whatever_host_it_names(serve: Serve, method: str, host: str) -> None:
    client = serve(allow_host=("cells.example",), api_key=SecretStr(KEY))
    for address in ("/healthz", "/readyz"):
        assert client.request(method, address, headers={"host": host}).status_code == 200


@pytest.mark.parametrize("address", ["/", "/healthz", "/metrics", "/docs", "/static/app.js", "/nope"])
def test_head_gives_the_headers_of_get_and_no_body(serve: Serve, address: str) -> None:
    client = serve()
    got, head = client.get(address, headers=HTML), client.head(address, headers=HTML)
    assert (head.status_code, head.content) == (got.status_code, b"")
    assert head.headers["content-type"] == got.headers["content-type"]
    if address != "/metrics":
        assert head.headers["content-length"] == got.headers["content-length"] != "0"


def test_a_cancelled_upload_is_no_error(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """Its client leaves in the middle of the body: Starlette raises ClientDisconnect."""
    client = serve()
    scope = client.build_request("POST", "/predict", files={"files": ("a_red.png", b"1")})
    asyncio.run(_cancel(client.app, [(name.encode(), value.encode()) for name, value in scope.headers.items()]))
    figures = client.get("/metrics").text
    assert 'lociscope_requests_total{route="/predict",status="499"} 1.0' in figures
    assert 'status="5' not in figures
    assert "lociscope_in_flight 0.0" in figures
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def _cancel(app: Any, headers: list[tuple[bytes, bytes]]) -> None:
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": b"--", "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: dict[str, Any]) -> None:
        pytest.fail(f"answered {message} to nobody")

    scope = {"type": "http", "method": "POST", "path": "/predict", "query_string": b"", "headers": headers}
    await app(scope, receive, send)


def test_a_page_of_another_site_may_not_send(serve: Serve, make: Any) -> None:
    client = serve()
    sent = make.form(make.planes())
    for origin, status in (
        ("http://localhost:8000", 200),
        ("http://localhost:9000", 403),
        ("https://evil.example", 403),
        ("null", 403),
        ("http://[", 403),
    ):
        assert client.post("/predict", files=sent, headers={"origin": origin}).status_code == status
    assert client.get("/", headers={"origin": "https://evil.example"}).status_code == 200


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"anyone:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": f"Bearer {KEY}"}, 200),
        ({"authorization": basic(KEY)}, 200),
        ({"x-api-key": KEY}, 200),
        ({"authorization": f"Bearer {KEY}x"}, 401),
        ({"authorization": f"Bearer {KEY[:-1]}"}, 401),
        ({"authorization": basic("")}, 401),
        ({"authorization": "Basic é"}, 401),
        ({"authorization": "Basic ////"}, 401),
        ({"authorization": "Bearer"}, 401),
        ({"x-api-key": ""}, 401),
    ],
)
def test_the_key(serve: Serve, headers: dict[str, str], status: int) -> None:
    client = serve(host="0.0.0.0", api_key=SecretStr(KEY))
    sent = {name: value.encode() for name, value in headers.items()}
    for address in ("/", "/docs", "/metrics", "/openapi.json", "/static/app.js", "/examples/microtubules"):
        assert client.get(address, headers=sent).status_code == status
    assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200
    if status == 401:
        refused = client.get("/", headers=sent)
        assert refused.headers["www-authenticate"].startswith("Basic")
        assert KEY not in refused.text


def test_a_key_may_hold_any_letters(serve: Serve) -> None:
    key = "über-größe-schlüssel"
    client = serve(api_key=SecretStr(key))
    assert client.get("/", headers={"authorization": basic(key)}).status_code == 200
    assert client.get("/", headers={"authorization": f"Bearer {key}".encode()}).status_code == 200


def test_a_mistake_of_ours_is_a_number_here_and_a_traceback_there(
    serve: Serve, make: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(routes, "find_field", fail)
    client = serve()
    with caplog.at_level(logging.ERROR, "lociscope"):
        answer = client.post("/predict", files=make.form(make.planes()))
        page = client.post("/predict", files=make.form(make.planes()), headers=HTML)
    assert answer.status_code == page.status_code == 500
    number = answer.json()["error"].removesuffix(".").rpartition(" ")[2]
    assert f"error {number} at POST /predict" in caplog.text
    assert "ZeroDivisionError: secret" in caplog.text
    assert "secret" not in answer.text + page.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert client.app.state.service.pool.in_flight == 0


def test_what_does_not_fit_into_memory(serve: Serve, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(routes, "find_field", fail)
    answer = serve().post("/predict", files=make.form(make.planes()))
    assert (answer.status_code, "memory" in answer.json()["error"]) == (413, True)


def test_addresses_that_are_not_there(serve: Serve) -> None:
    client = serve()
    assert client.get("/nope").json() == {
        "error": "This page does not exist. The page 'Interface' (/docs) lists all of them.",
        "code": "not-found",
    }
    assert client.get("/predict").status_code == 405
    assert client.get("/static/../settings.py").status_code == 404
    assert client.get("/static/%2e%2e/settings.py").status_code == 404
    assert client.get("/examples/..%2f..%2fsettings.py").status_code == 404
