"""Complaints: who is sent a page, and in whose words options are named."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from lociscope.service.error_responses import in_terms, wants_page


def request(path: str, accept: str | None) -> Request:
    headers = [] if accept is None else [(b"accept", accept.encode())]
    return Request({"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": headers})


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
    ("sentence", "field", "label"),
    [
        (
            "Add 'a_yellow.png', or pass --allow-missing yellow.",
            "Add 'a_yellow.png', or pass allow_missing=yellow.",
            "Add 'a_yellow.png', or choose 'do without yellow' below.",
        ),
        (
            "It has no ER. Pass --allow-missing yellow to do without.",
            "It has no ER. Pass allow_missing=yellow to do without.",
            "It has no ER. Choose 'do without yellow' below to do without.",
        ),
        ("Pass --plane N, from 0.", "Pass plane, from 0.", "Pass 'Slice', from 0."),
        ("Pass --pixel-size.", "Pass pixel_size.", "Pass 'Pixel size'."),
        ("Pass --channels red=…", "Pass channels red=…", "Pass under 'Channel names' red=…"),
        ("Copy it again.", "Copy it again.", "Copy it again."),
    ],
)
def test_options_have_the_names_that_they_have_there(sentence: str, field: str, label: str) -> None:
    assert in_terms(sentence, page=False) == field
    assert in_terms(sentence, page=True) == label
