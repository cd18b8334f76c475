"""Error responses: who is sent a page, and how parameters are named there."""

from __future__ import annotations

import html
import json
from typing import TYPE_CHECKING

import pytest
from starlette.requests import Request

from lociscope.errors import Code
from lociscope.service.app import create_app
from lociscope.service.error_responses import choose_status, error_response, wants_page
from lociscope.service.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from fastapi import FastAPI


@pytest.fixture
def app(tiny_bundle: Path) -> FastAPI:
    return create_app(Settings(bundle=tiny_bundle))


def request(path: str, accept: str | None, app: FastAPI | None = None) -> Request:
    headers = [] if accept is None else [(b"accept", accept.encode())]
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": headers, "app": app}
    return Request(scope | {"server": ("localhost", 80), "scheme": "http"})


@pytest.mark.parametrize(
    ("path", "accept", "page"),
    [
        ("/", "text/html,*/*;q=0.8", True),
        ("/", "*/*", False),
        ("/", None, False),
        ("/predict", "application/json", False),
        ("/predict.json", "text/html", False),
    ],
)
def test_a_page_for_whoever_asks_for_one(path: str, accept: str | None, page: bool) -> None:
    assert wants_page(request(path, accept)) is page


@pytest.mark.parametrize(
    ("method", "code", "status"),
    [
        ("POST", Code.CORRUPT, 422),
        ("POST", Code.UNKNOWN_NAME, 422),
        ("GET", Code.UNKNOWN_NAME, 404),
        ("GET", Code.UNREADABLE, 500),
    ],
)
def test_the_status_depends_on_the_code(method: str, code: Code, status: int) -> None:
    assert choose_status(method, code) == status


@pytest.mark.parametrize(
    ("sentence", "field", "label"),
    [
        (
            "It has no ER. Pass `allow_missing=yellow` to do without.",
            "It has no ER. Pass allow_missing=yellow to do without.",
            "It has no ER. Pass yellow under 'If a channel is missing' to do without.",
        ),
        ("Pass `plane`, from 0.", "Pass plane, from 0.", "Pass 'Slice', from 0."),
        ("Pass `pixel_size`.", "Pass pixel_size.", "Pass 'Pixel size'."),
        ("Pass `channels=red=…`.", "Pass channels=red=….", "Pass red=… under 'Channel names'."),
        ("Pass `other`.", "Pass `other`.", "Pass `other`."),
        ("Copy it again.", "Copy it again.", "Copy it again."),
    ],
)
def test_parameters_are_named_as_the_reader_knows_them(sentence: str, field: str, label: str, app: FastAPI) -> None:
    answer = error_response(request("/predict", None, app), 422, sentence, code=Code.MISSING_CHANNEL)
    assert json.loads(bytes(answer.body)) == {"error": field, "code": "missing-channel"}
    page = bytes(error_response(request("/predict", "text/html", app), 422, sentence).body).decode()
    assert html.escape(label, quote=True).replace("&#x27;", "&#39;") in page
