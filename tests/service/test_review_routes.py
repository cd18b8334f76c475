"""Review in the service: the model's answer stays hidden, answers are kept, and corrections feed the queue."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lociscope.images.discovery.naming import Rules
from lociscope.images.discovery.sources import find_fields
from lociscope.review.records import Item, Reason
from lociscope.review.store import open_review

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PAGE = {"accept": "text/html"}


@pytest.fixture
def review(make: Any, tmp_path: Path) -> str:
    """A review of two fields, each predicted to be in the Golgi apparatus."""
    folder = tmp_path / "fields"
    folder.mkdir()
    for name, data in {**make.planes("a1"), **make.planes("b2", 1)}.items():
        (folder / name).write_bytes(data)
    probability = np.where(np.arange(28) == 7, 0.91, 0.02).astype(np.float32)
    items = [
        Item(0, source.id, source, "b" * 64, (7,), probability, Reason.UNCERTAIN, 2, "today")
        for source in find_fields([folder], Rules())[0]
    ]
    url = str(tmp_path / "review.db")
    with open_review(url, create=True) as store:
        store.add(items)
    return url


def send(client: Any, number: int, *locations: int, headers: dict[str, str] | None = None, **texts: str) -> Any:
    files = [("location", (None, str(each))) for each in locations]
    files += [(name, (None, text)) for name, text in texts.items()]
    return client.post(f"/review/{number}", files=files, headers=headers, follow_redirects=False)


def test_the_model_s_answer_is_hidden_until_one_has_answered(serve: Callable[..., Any], review: str) -> None:
    client = serve(review=review)
    page = client.get("/review/1", params={"reviewer": "ann"}, headers=PAGE)
    assert page.status_code == 200
    assert ("0.91" in page.text, page.text.count('name="location"')) == (False, 28)
    assert client.get("/review/1", params={"reviewer": "ann"}).json() == {
        "number": 1,
        "id": "a1",
        "reason": "uncertain",
    }
    assert client.get("/review/1/answered", params={"reviewer": "ann"}).status_code == 403
    sent = send(client, 1, 3, 0, headers=PAGE, reviewer="ann", note="<faint>")
    assert (sent.status_code, sent.headers["location"]) == (303, "../review/1/answered?reviewer=ann")
    shown = client.get("/review/1/answered", params={"reviewer": "ann"}, headers=PAGE).text
    assert "You and the model differ" in shown
    assert "Nucleoplasm, Nucleoli fibrillar center" in shown
    assert "0.91" in shown
    assert client.get("/review/1/answered", params={"reviewer": "bob"}).status_code == 403
    again = client.get("/review/1", params={"reviewer": "ann"}, headers=PAGE).text
    assert "&lt;faint&gt;" in again
    assert again.count(" checked>") >= 2


def test_reviewers_are_led_through_the_queue(serve: Callable[..., Any], review: str) -> None:
    client = serve(review=review)
    assert "Your name" in client.get("/review", headers=PAGE).text
    first = client.get("/review", params={"reviewer": "ann b"}, headers=PAGE, follow_redirects=False)
    assert (first.status_code, first.headers["location"]) == (303, "./review/1?reviewer=ann%20b")
    answered = send(client, 1, 7, reviewer="ann b")
    assert answered.json()["predicted"] == answered.json()["labels"] == [7]
    assert client.get("/review", params={"reviewer": "ann b"}).json()["number"] == 2
    assert send(client, 2, reviewer="ann b", verdict="cannot-tell").json()["labels"] == []
    assert "All fields are answered" in client.get("/review", params={"reviewer": "ann b"}, headers=PAGE).text
    assert client.get("/review", params={"reviewer": "ann b"}).status_code == 404


@pytest.mark.parametrize(
    ("locations", "texts", "status"),
    [
        ((), {"reviewer": "ann"}, 422),  # nothing marked
        ((), {"reviewer": "ann", "none": "1"}, 200),
        ((28,), {"reviewer": "ann"}, 422),
        ((3,), {"reviewer": " "}, 422),
        ((3,), {"reviewer": "ann", "verdict": "maybe"}, 422),
        ((3,), {"reviewer": "ann", "note": "x" * 2001}, 422),
    ],
)
def test_wrong_answers_are_refused(
    serve: Callable[..., Any], review: str, locations: tuple[int, ...], texts: dict[str, Any], status: int
) -> None:
    client = serve(review=review)
    assert send(client, 1, *locations, **texts).status_code == status
    with open_review(review) as store:
        assert len(store.answers()) == (status == 200)


def test_other_requests(serve: Callable[..., Any], review: str, tmp_path: Path) -> None:
    client = serve(review=review)
    assert client.get("/review/1/channels/blue").headers["content-type"].startswith("image/")
    assert client.get("/review/9").status_code == 404
    assert send(client, 9, 3, reviewer="ann").status_code == 404
    assert client.post("/review/1", json={}).status_code == 400
    assert client.get("/review").status_code == 422
    for file in (tmp_path / "fields").iterdir():
        file.unlink()
    page = client.get("/review/1", params={"reviewer": "ann"}, headers=PAGE)
    assert (page.status_code, "cannot be read any more" in page.text) == (200, True)


def test_a_service_without_a_review_has_none(serve: Callable[..., Any]) -> None:
    client = serve()
    assert client.get("/review").status_code == 404
    assert "/review" not in client.get("/", headers=PAGE).text


def test_a_correction_feeds_the_queue_with_a_copy(
    serve: Callable[..., Any], make: Any, review: str, tmp_path: Path
) -> None:
    client = serve(review=review, store=tmp_path / "store")
    job = client.post("/jobs", files=make.form(make.planes("c3", 2))).json()
    for _ in range(600):
        field = client.get(f"/jobs/{job['id']}/fields/0").json()
        if field["state"] == "done":
            break
        time.sleep(0.05)
    page = client.get(f"/jobs/{job['id']}/fields/0", headers=PAGE).text
    assert "Correct this" in page
    path = f"/jobs/{job['id']}/fields/0/correct"
    sent = client.post(path, files={"x": (None, "")})
    assert (sent.status_code, sent.json()["number"], sent.json()["reason"]) == (201, 3, "corrected")
    assert client.post(path, files={"x": (None, "")}).json()["number"] == 3
    assert client.delete(f"/jobs/{job['id']}").status_code in (200, 204)
    assert client.get("/review/3/channels/green").status_code == 200
    assert "You have seen what the model says" in client.get("/review/3", headers=PAGE).text
    assert send(client, 3, 5, reviewer="ann").status_code == 200
    with open_review(review) as store:
        assert [each.saw_model for each in store.answers()] == [True]
