"""The live page over HTTP, in front of a loop whose images the test takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lociscope.errors import UsageError
from lociscope.microscope.run_result import RunResult
from lociscope.service.microscope.app import create_microscope_app
from lociscope.service.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from lociscope.microscope.board import Board
    from lociscope.microscope.loop import SteeringLoop

testclient = pytest.importorskip("starlette.testclient", reason="the extra serve is not installed")
PAGE = {"accept": "text/html"}


@pytest.fixture
def client(board: Board, tiny_bundle: Path) -> Any:
    app = create_microscope_app(Settings(bundle=tiny_bundle, workers=1), board)
    return testclient.TestClient(app, base_url="http://127.0.0.1", follow_redirects=False)


def test_a_page_before_the_run(client: Any) -> None:
    page = client.get("/", headers=PAGE)
    assert page.status_code == 200
    assert "Opening the microscope" in page.text
    assert "Stop the run" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert client.post("/stop").status_code == 422


def test_the_page_shows_fields_decisions_and_proposals(client: Any, loop: SteeringLoop) -> None:
    text = client.get("/", headers=PAGE).text
    for part in ("2 of 2 planned fields", "A1_01", "2 proposals wait", "Nucleoli", "image 1 again", "2/2", "0.40 s"):
        assert part in text
    assert "Examples" not in text
    assert "deleted after the prediction" not in text
    assert client.get("/board").text in text
    status = client.get("/status.json").json()
    assert (status["state"], status["fields"], len(status["proposals"])) == ("running", 2, 2)


def test_pictures_of_a_field(client: Any, loop: SteeringLoop) -> None:
    thumbnail = client.get("/fields/A1_01/thumbnail")
    assert (thumbnail.status_code, thumbnail.headers["content-type"]) == (200, "image/webp")
    evidence = client.get("/fields/A1_01/evidence/2")
    assert (evidence.status_code, evidence.headers["content-type"]) == (200, "image/png")
    assert client.get("/fields/A9_01/thumbnail").status_code == 404
    assert client.get("/fields/A1_01/evidence/28").status_code == 422
    assert client.get("/fields/..%2Frun.json/thumbnail").status_code in (404, 422)


def test_of_two_people_who_accept_the_second_is_told(client: Any, loop: SteeringLoop) -> None:
    first = client.post("/proposals/A1_01-1", data={"answer": "accept", "by": " Ada  L "})
    assert (first.status_code, first.json()["state"], first.json()["by"]) == (200, "accepted", "Ada L")
    second = client.post("/proposals/A1_01-1", data={"answer": "accept", "by": "Bo"})
    assert (second.status_code, second.json()["code"]) == (409, "conflict")
    assert "was accepted by Ada L" in second.json()["error"]
    page = client.post("/proposals/A1_01-1", data={"answer": "reject"}, headers=PAGE)
    assert page.status_code == 409
    assert "Nothing was changed" in page.text
    assert "Back to the run" in page.text
    assert loop.journal.read_answers() == {"A1_01-1": True}


def test_forms_without_javascript_return_to_the_page(client: Any, loop: SteeringLoop) -> None:
    answer = client.post("/proposals/A1_02-1", data={"answer": "reject"}, headers=PAGE)
    assert (answer.status_code, answer.headers["location"]) == (303, "../")
    assert (client.post("/pause", headers=PAGE).status_code, loop.scheduler.paused) == (303, True)
    assert (client.post("/resume").json(), loop.scheduler.paused) == ({"state": "running"}, False)
    assert (client.post("/stop").json(), loop.stop_requested) == ({"state": "stopping"}, True)


@pytest.mark.parametrize(
    ("path", "data", "status"),
    [
        ("/proposals/A1_01-1", {"answer": "perhaps"}, 422),
        ("/proposals/A1_01-1", {}, 422),
        ("/proposals/none", {"answer": "accept"}, 404),
        ("/explode", {}, 422),
    ],
)
def test_a_wrong_request_changes_nothing(
    client: Any, loop: SteeringLoop, path: str, data: dict[str, str], status: int
) -> None:
    assert client.post(path, data=data).status_code == status
    assert loop.journal.read_answers() == {}


def test_pages_of_other_sites_cannot_answer(client: Any, loop: SteeringLoop) -> None:
    foreign = {"origin": "http://evil.example"}
    for path in ("/stop", "/proposals/A1_01-1"):
        assert client.post(path, data={"answer": "accept"}, headers=foreign).status_code == 403
    assert not loop.stop_requested
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400


def test_events_end_with_the_run(client: Any, board: Board, loop: SteeringLoop) -> None:
    board.finish(RunResult())
    with client.stream("GET", "/events") as events:
        text = "".join(events.iter_text())
    assert "event: changed" in text
    assert text.endswith("event: ended\ndata: ended\n\n")
    assert "Ended" in client.get("/", headers=PAGE).text
    late = client.post("/proposals/A1_01-1", data={"answer": "accept"})
    assert (late.status_code, late.json()["code"]) == (409, "conflict")


def test_others_may_not_steer_without_a_key(board: Board, tiny_bundle: Path) -> None:
    with pytest.raises(UsageError, match="no key protects it"):
        create_microscope_app(Settings(bundle=tiny_bundle, host="0.0.0.0"), board)
    settings = Settings(bundle=tiny_bundle, host="0.0.0.0", api_key="k" * 20)
    client = testclient.TestClient(create_microscope_app(settings, board), base_url="http://127.0.0.1")
    assert client.post("/stop").status_code == 401
    assert client.get("/", headers={"authorization": f"Bearer {'k' * 20}"}).status_code == 200


def test_a_person_agrees_to_a_change_of_the_objective(client: Any, loop: SteeringLoop) -> None:
    loop.proposals.ask_change("20x (air) to 63x (oil)")
    text = client.get("/", headers=PAGE).text
    assert "Change the objective from 20x (air) to 63x (oil)" in text
    assert "fields//thumbnail" not in text
    assert "3 proposals wait" in text
    answer = client.post("/proposals/objective-1", data={"answer": "accept", "by": "Ada"})
    assert answer.json()["change"] == "20x (air) to 63x (oil)"
    assert loop.proposals.find_answer("objective-1") is True
