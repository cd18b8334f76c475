"""Behind a proxy that serves this service under a prefix, which it strips or passes on: every link lies under it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest

from lociscope.errors import UsageError
from lociscope.service.settings import Settings

HTML = {"accept": "text/html"}
PREFIX = "/lab/lociscope"
Serve = Callable[..., Any]
PAGES = ("/", "/docs", "/docs/", "/examples/microtubules", "/nope", "/deeper/and/nope", "/static/nope", "/a%2Fb")


class Proxy:
    """Asks as a browser does that reaches the service under a prefix, which is stripped unless `passed`."""

    def __init__(self, client: Any, passed: bool) -> None:
        self.client, self.start = client, "" if passed else PREFIX

    def ask(self, url: str, method: str = "GET", **given: Any) -> Any:
        path = urlsplit(url).path
        assert path.startswith(f"{PREFIX}/"), path
        return self.client.request(method, path.removeprefix(self.start), headers=HTML, **given)


@pytest.fixture(params=["stripped", "stripped and told", "passed on and told"])
def proxy(request: pytest.FixtureRequest, serve: Serve) -> Proxy:
    told = {"root_path": PREFIX} if "told" in request.param else {}
    return Proxy(serve(**told), "passed" in request.param)


def links_of(page: str, url: str) -> set[str]:
    """Where the links, forms, pictures, scripts and style sheets of a page lead to, but for HPA's dictionary."""
    found = re.findall(r'(?:href|src|action|data-root)="([^"#][^"]*)"', page)
    return {urljoin(url, link) for link in found if not link.startswith(("data:", "https://www.proteinatlas.org/"))}


@pytest.mark.parametrize("path", PAGES)
def test_whatever_a_page_names_is_there(proxy: Proxy, path: str) -> None:
    url = f"https://cells.example{PREFIX}{path}"
    links = links_of(proxy.ask(url).text, url)
    assert len(links) >= 5
    for link in links:
        assert link.startswith(f"https://cells.example{PREFIX}/")
        status = proxy.ask(link).status_code
        assert status == (405 if link.endswith("/predict") else 200), link


def test_so_is_what_an_answer_and_a_complaint_name(proxy: Proxy, make: Any) -> None:
    url = f"https://cells.example{PREFIX}/predict"
    for files, status in ((make.planes(), 200), ({"a.txt": b"words"}, 422)):
        answer = proxy.ask(url, "POST", files=make.form(files))
        assert answer.status_code == status
        for link in links_of(answer.text, url) - {url}:
            assert proxy.ask(link).status_code == 200, link


def test_the_description_for_machines_leads_there(proxy: Proxy) -> None:
    url = f"https://cells.example{PREFIX}/openapi.json"
    schema = proxy.ask(url).json()
    (server,) = schema["servers"]
    for path in ("/healthz", "/readyz", "/metrics"):
        assert path in schema["paths"]
        assert proxy.ask(urljoin(url, server["url"] + path)).status_code == 200


def test_a_header_is_not_believed(serve: Serve) -> None:
    told = {**HTML, "x-forwarded-prefix": "/evil", "x-forwarded-host": "evil.example", "x-script-name": "/evil"}
    assert "evil" not in serve().get("/", headers=told).text


def test_it_needs_no_slash_at_its_end_and_no_redirect(serve: Serve) -> None:
    client = serve(root_path=PREFIX)
    for address in (PREFIX, f"{PREFIX}/", "/"):
        page = client.get(address, headers=HTML, follow_redirects=False)
        assert page.status_code == 200
        assert f'action="{PREFIX}/predict"' in page.text
    for address in (f"{PREFIX}/docs/", "/docs/"):
        assert client.get(address, headers=HTML, follow_redirects=False).status_code == 200


def test_other_paths_are_not_under_it(serve: Serve) -> None:
    client = serve(root_path=PREFIX)
    assert client.get(f"{PREFIX}er/docs").status_code == 404
    assert client.get(f"{PREFIX}/nope").status_code == 404
    for address in ("/healthz", f"{PREFIX}/healthz"):
        assert client.get(address, headers={"host": "pod.example"}).status_code == 200


def test_the_key_is_asked_for_under_it(serve: Serve) -> None:
    from pydantic import SecretStr

    client = serve(root_path=PREFIX, api_key=SecretStr("k" * 20))
    for path in ("/", "/docs", "/metrics", "/static/app.js"):
        assert client.get(f"{PREFIX}{path}").status_code == client.get(path).status_code == 401
    assert client.get(f"{PREFIX}/readyz").status_code == 200


@pytest.mark.parametrize(
    "path", ["lociscope", "/a/", "/", "//a", "/a/../b", "/.", "/a b", "/a?b", "/é", '/a"b', "http://a/b"]
)
def test_what_is_no_root_path(path: str) -> None:
    with pytest.raises(UsageError, match="`root_path` is"):
        Settings(root_path=path).check()


@pytest.mark.parametrize("path", ["", "/lociscope", PREFIX, "/~lab/v1.2_x-y", "/..a"])
def test_what_is_one(path: str) -> None:
    assert Settings(root_path=path).check().root_path == path
