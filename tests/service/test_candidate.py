"""A candidate beside production: compared, answering a share of the fields, and replaced under load."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np
import pytest
from fixtures.pixels import patches

from lociscope.errors import Code, LociscopeError, UsageError
from lociscope.images.field import Field
from lociscope.predict.predictor import open_bundle
from lociscope.registry.model_registry import CANDIDATE, Registry
from lociscope.service.candidate import MAX_WAITING, Candidate, _is_chosen, create_candidate
from lociscope.service.model_holder import create_model_holder
from lociscope.service.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Browser

BY: dict[str, Any] = {"who": "me", "why": "test"}


class Models(NamedTuple):
    """A registry with tiny1 in production, and the names of tiny1 and tiny2."""

    registry: Registry
    versions: list[str]


@pytest.fixture
def models(tmp_path: Path, make_bundle: Callable[..., Path]) -> Models:
    registry = Registry(tmp_path / "registry")
    versions = [registry.add(make_bundle(tmp_path / str(seed), seed), **BY).version for seed in (1, 2)]
    registry.promote(versions[0], **BY)
    return Models(registry, versions)


class Pair(NamedTuple):
    """A candidate without its thread, and what it counted."""

    candidate: Candidate
    outcomes: list[str]


@pytest.fixture
def pair(models: Models) -> Pair:
    outcomes: list[str] = []
    model = create_model_holder(None, models.registry.folder, 1)
    return Pair(create_candidate(models.registry.folder, model, 0.5, 1, outcomes.append), outcomes)


def field(number: int) -> Field:
    return Field(f"f{number}", (patches((32, 32, 4), number) * np.linspace(0.2, 1, 4)).astype(np.uint8), 164 / 32)


def test_without_a_candidate_production_answers(pair: Pair) -> None:
    pair.candidate.refresh()
    assert pair.candidate.choose("f0").bundle.card.name == "tiny1"
    pair.candidate.offer(field(0), pair.candidate.choose("f0").predict(field(0)), "0")
    assert not pair.candidate.compare_next()
    report = pair.candidate.report()
    assert (report.candidate, report.compared, pair.outcomes) == (None, 0, [])


def test_the_two_are_compared_whoever_answers(pair: Pair, models: Models) -> None:
    models.registry.promote(models.versions[1], alias=CANDIDATE, **BY)
    candidate = pair.candidate
    candidate.refresh()
    one, two = open_bundle(models.registry.path()), open_bundle(models.registry.path(CANDIDATE))
    expected = []
    for number in range(12):
        each = field(number)
        model = candidate.choose(each.id)
        candidate.offer(each, model.predict(each), model.bundle.sha256)
        assert candidate.compare_next()
        expected.append((one.predict(each).predicted[0], two.predict(each).predicted[0], model.bundle.card.name))
    same = sum(first == second for first, second, _ in expected)
    report = candidate.report()
    assert (report.production, report.candidate) == tuple(models.versions)
    assert (report.compared, report.same, len(report.disagreements)) == (12, same, 12 - same)
    assert report.answered == sum(name == "tiny2" for *_, name in expected)
    assert 0 < report.answered < 12
    assert Counter(pair.outcomes) == Counter(same=same, different=12 - same)
    assert sum(each.production for each in report.locations) == sum(len({*a} - {*b}) for a, b, _ in expected)
    assert sum(each.candidate for each in report.locations) == sum(len({*b} - {*a}) for a, b, _ in expected)
    largest = [each.difference for each in report.disagreements]
    assert largest == sorted(largest, reverse=True)
    models.registry.promote(models.versions[1], **BY)  # to production: nothing is left to compare
    candidate._model.refresh()
    assert (candidate.predictor, candidate.report().compared) == (None, 0)


def test_what_cannot_be_compared_costs_no_answer(pair: Pair, models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    models.registry.promote(models.versions[1], alias=CANDIDATE, **BY)
    candidate = pair.candidate
    candidate.refresh()
    production = candidate._model.predictor
    made = production.predict(field(0))
    for _ in range(MAX_WAITING + 2):
        candidate.offer(field(0), made, production.bundle.sha256)
    assert pair.outcomes == ["skipped", "skipped"]
    candidate.compare_next()
    candidate.offer(field(0), made, "a bundle that was replaced")
    assert [candidate.compare_next() for _ in range(MAX_WAITING)] == [True] * MAX_WAITING
    assert pair.outcomes[2:] == ["same" if candidate.report().same else "different"] * MAX_WAITING
    monkeypatch.setattr("lociscope.service.candidate.MAX_BYTES", 10)
    candidate.offer(field(0), made, production.bundle.sha256)
    assert candidate.report().skipped == 3
    monkeypatch.setattr("lociscope.service.candidate.MAX_BYTES", 1 << 20)
    candidate.offer(Field("f", np.zeros((0, 0, 4), np.uint8)), made, production.bundle.sha256)
    candidate.compare_next()
    assert candidate.report().failed == 1


def test_a_candidate_that_cannot_be_opened_leaves_production_alone(pair: Pair, models: Models) -> None:
    models.registry.promote(models.versions[1], alias=CANDIDATE, **BY)
    model = models.registry.path(CANDIDATE) / "model.onnx"
    data = model.read_bytes()
    model.write_bytes(b"altered")
    pair.candidate.refresh()
    assert pair.candidate.choose("f0").bundle.card.name == "tiny1"
    model.write_bytes(data)
    pair.candidate.refresh()
    assert pair.candidate.report().candidate == models.versions[1]
    models.registry.withdraw(CANDIDATE, **BY)
    pair.candidate.refresh()
    assert pair.candidate.predictor is None


def test_a_share_is_of_fields_and_stays() -> None:
    names = [f"field {number}" for number in range(2000)]
    chosen = {name for name in names if _is_chosen(name, "a" * 64, 0.1)}
    assert 150 < len(chosen) < 250
    assert chosen == {name for name in names if _is_chosen(name, "a" * 64, 0.1)}
    assert chosen < {name for name in names if _is_chosen(name, "a" * 64, 0.3)}
    assert not any(_is_chosen(name, "a" * 64, 0) for name in names)
    assert all(_is_chosen(name, "a" * 64, 1) for name in names)


def test_production_is_not_withdrawn(models: Models) -> None:
    with pytest.raises(LociscopeError) as raised:
        models.registry.withdraw("production", **BY)
    assert raised.value.code == Code.CONFLICT
    with pytest.raises(LociscopeError) as raised:
        models.registry.withdraw(CANDIDATE, **BY)
    assert raised.value.code == Code.UNKNOWN_NAME
    with pytest.raises(UsageError, match="`candidate` needs a registry"):
        Settings(candidate=0.1).check()


def test_the_page_and_the_metrics(serve: Any, make: Any, models: Models) -> None:
    client = serve(registry=models.registry.folder, candidate=0)
    html = {"accept": "text/html"}
    assert "There is no candidate" in client.get("/candidate", headers=html).text
    models.registry.promote(models.versions[1], alias=CANDIDATE, **BY)
    candidate = client.app.state.service.candidate
    candidate.refresh()
    for number in range(6):
        said = client.post("/predict", files=make.form(make.planes(f"a{number}", number)))
        assert said.json()["bundle"]["name"] == "tiny1"
    ends = time.monotonic() + 10
    while candidate.report().compared + candidate.report().skipped < 6 and time.monotonic() < ends:
        time.sleep(0.02)
    report = client.get("/candidate").json()
    assert (report["candidate"], report["compared"] + report["skipped"]) == (models.versions[1], 6)
    assert report == client.get("/candidate.json").json()
    page = client.get("/candidate", headers=html).text
    assert models.versions[1] in page
    assert ("The newest disagreements" in page) == (report["same"] < report["compared"])
    metrics = client.get("/metrics").text
    counted = sum(
        float(line.rpartition(" ")[2]) for line in metrics.splitlines() if line.startswith("lociscope_compared_total{")
    )
    assert counted == 6
    assert serve(registry=models.registry.folder).get("/candidate").status_code == 404


def body_of(files: dict[str, bytes]) -> bytes:
    parts = []
    for name, data in files.items():
        head = f'--edge\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
        parts += [head.encode(), data, b"\r\n"]
    return b"".join([*parts, b"--edge--\r\n"])


@pytest.mark.slow
def test_switches_under_load_drop_nothing_and_answer_nothing_wrong(served: Any, make: Any, models: Models) -> None:
    """Four clients, a candidate for a third of the fields, six promotions and rollbacks."""
    files = {f"a{number}": make.planes(f"a{number}", number) for number in range(8)}
    bodies = {name: body_of(each) for name, each in files.items()}
    folders = {each.sha256: each.folder for each in models.registry.entries()}
    answers: list[tuple[str, dict[str, Any]]] = []
    dropped: list[str] = []
    stop = threading.Event()
    models.registry.promote(models.versions[1], alias=CANDIDATE, **BY)

    def ask(address: str, first: int) -> None:
        connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
        number = first
        while not stop.is_set() and not dropped:
            name = [*bodies][number % len(bodies)]
            number += 1
            try:
                headers = {"content-type": "multipart/form-data; boundary=edge"}
                connection.request("POST", "/predict", bodies[name], headers)
                response = connection.getresponse()
                data = response.read()
            except (OSError, http.client.HTTPException) as error:
                dropped.append(str(error))
                continue
            if response.status == 200:
                answers.append((name, json.loads(data)))
            else:
                dropped.append(f"{response.status} {data[:80]!r}")
        connection.close()

    with served("--registry", models.registry.folder, "--candidate", 0.3) as (_, address):
        clients = [threading.Thread(target=ask, args=(address, number)) for number in range(4)]
        for each in clients:
            each.start()
        for switch in range(6):
            before = len(answers)
            while len(answers) < before + 40 and not dropped:
                time.sleep(0.01)
            if switch % 2:
                models.registry.rollback(**BY)
            else:
                models.registry.promote(models.versions[1], **BY)
            time.sleep(1.2)  # longer than the service waits between two looks
        stop.set()
        for each in clients:
            each.join()
    predictors = {sha256: open_bundle(folder, 1) for sha256, folder in folders.items()}
    truth: dict[tuple[str, str], np.ndarray] = {}
    wrong = 0
    for name, said in answers:
        key = (name, said["bundle"]["sha256"])
        if key not in truth:
            truth[key] = _predict(predictors[key[1]], files[name])
        wrong += said["id"] != name or bool(np.abs(np.array(said["probabilities"]) - truth[key]).max() > 1e-5)
    assert (len(dropped), wrong) == (0, 0), dropped[:3]
    one, two = (models.registry.entry(version).sha256 for version in models.versions)
    # In production the second answers all fields, as the candidate its share; the first never answers that share.
    assert {name for name, sha256 in truth if sha256 == two} == {*files}
    assert {name for name, sha256 in truth if sha256 == one} == {
        name for name in files if not _is_chosen(name, two, 0.3)
    }
    assert len(answers) > 240


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_the_page_is_accessible_and_fits(
    browser: Browser, start_process: Any, make: Any, models: Models, width: int, scheme: Any
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core is not installed").Axe()
    models.registry.promote(models.versions[1], alias=CANDIDATE, **BY)
    with start_process("--registry", models.registry.folder, "--candidate", 0.3) as (_, address):
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        page.set_default_timeout(60_000)
        for number in range(6):
            page.request.post(
                f"{address}/predict", headers={"content-type": "multipart/form-data; boundary=edge"},
                data=body_of(make.planes(f"a{number}", number)),
            )  # fmt: skip
            time.sleep(0.2)
        page.goto(f"{address}/candidate")
        assert page.locator("nav a", has_text="Candidate").count() == 1
        assert page.locator("h2").all_inner_texts() == ["By location", "The newest disagreements"]
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        found = axe.run(page)
        assert found.violations_count == 0, found.generate_report()
        page.close()


def _predict(predictor: Any, files: dict[str, bytes]) -> np.ndarray:
    import io

    from PIL import Image

    pixels = np.stack([np.asarray(Image.open(io.BytesIO(data))) for data in files.values()], -1)
    probability: np.ndarray = predictor.predict(Field("a", pixels)).probability[0]
    return probability
