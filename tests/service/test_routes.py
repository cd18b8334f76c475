"""The addresses: what each gives, as a page and as JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fixtures.pixels import patches

from lociscope.artifacts.bundle import read_bundle
from lociscope.images.discovery.sources import find_fields
from lociscope.images.io.read import read_field
from lociscope.images.statistics import compute_statistics
from lociscope.labels import LABELS
from lociscope.predict.predictor import open_bundle
from lociscope.prediction_log.log import open_log
from lociscope.registry.model_registry import Registry
from lociscope.service.examples import examples
from lociscope.service.upload_schema import FIELD_TEXTS

if TYPE_CHECKING:
    from pathlib import Path

HTML = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
Serve = Callable[..., Any]


def test_what_serves_here(serve: Serve, tiny_bundle: Path) -> None:
    client = serve(max_bytes=1000, max_in_flight=3)
    for address in ("/", "/index.json"):
        said = client.get(address).json()
        assert said["bundle"]["sha256"] == read_bundle(tiny_bundle).sha256
        assert said["bundle"]["limits"] == "For tests."
        assert (said["max_bytes"], said["max_in_flight"]) == (1000, 3)
        assert said["labels"] == list(LABELS)
        assert [each["id"] for each in said["examples"]] == [each.id for each in examples()]


def test_the_page_says_what_answers_and_its_limits(serve: Serve) -> None:
    page = serve().get("/", headers=HTML)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    for text in ("tiny0", "For tests.", 'action="./predict"', 'enctype="multipart/form-data"', "./examples/"):
        assert text in page.text


def test_a_field_is_predicted_as_the_command_does(serve: Serve, make: Any, tiny_bundle: Path, tmp_path: Path) -> None:
    files = make.planes("b2", seed=4)
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    expected = open_bundle(tiny_bundle).predict(map(read_field, find_fields([tmp_path])[0]))
    said = serve().post("/predict", files=make.form(files)).json()
    assert said["id"] == "b2"
    assert said["predicted"] == list(expected.predicted[0])
    assert said["names"] == [LABELS[number] for number in said["predicted"]]
    np.testing.assert_allclose(said["probabilities"], expected.probability[0], atol=1e-6)
    assert said["thresholds"] == [0.5] * 28
    assert (said["status"], said["warnings"]) == (
        expected.status[0],
        [str(warning) for warning in expected.warnings[0]],
    )
    assert said["notes"] == ["Nothing declares the size of a pixel; the field was taken to span 164 µm."]
    assert (said["bundle"]["name"], said["bundle"]["calibrated"]) == ("tiny0", False)


def test_an_address_that_ends_in_json_is_json_whatever_is_asked_for(serve: Serve, make: Any) -> None:
    client = serve()
    said = client.post("/predict.json", files=make.form(make.planes()), headers=HTML).json()
    assert said["id"] == "a1"
    assert client.get("/index.json", headers=HTML).json()["name"] == "lociscope"


def test_the_page_of_a_result(serve: Serve, make: Any) -> None:
    page = serve().post("/predict", files=make.form(make.planes("c<3>")), headers=HTML).text
    assert "c_3_" in page  # as it was kept: a name that no file system objects to
    assert page.count("data:image/jpeg;base64,") == 4
    assert page.count('<th scope="row">') == 28
    assert page.index('class="reached"') < page.index("below their threshold")
    assert "Warnings about this field" in page
    assert "Its probabilities are not calibrated" in page


@pytest.mark.parametrize("example", [each.id for each in examples()])
def test_an_example_as_page_picture_and_json(serve: Serve, example: str) -> None:
    client = serve()
    said = client.get(f"/examples/{example}.json").json()
    assert said == client.get(f"/examples/{example}").json()
    assert (said["id"], said["warnings"]) == (example, [])
    assert "Scale bar" in client.get(f"/examples/{example}", headers=HTML).text
    assert client.get(f"/examples/{example}.jpg").content.startswith(b"\xff\xd8")


def test_an_example_that_is_not_there_names_the_nearest(serve: Serve) -> None:
    answer = serve().get("/examples/microtubles")
    assert answer.status_code == 404
    assert answer.json()["error"].endswith("Did you mean 'microtubules'?")
    assert answer.json()["code"] == "unknown-name"


def test_an_example_that_cannot_be_read_is_a_fault_of_the_service(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("lociscope.service.examples.FOLDER", tmp_path)
    answer = serve().get("/examples/microtubules")
    assert (answer.status_code, answer.json()["code"]) == (500, "not-found")
    assert "/examples/microtubules was not answered" in caplog.text


def test_stacks_and_archives(serve: Serve, make: Any, tmp_path: Path) -> None:
    import tifffile

    from lociscope.images.field import Field
    from lociscope.images.io.write import write_ome_tiff

    pixels = patches((64, 64, 4))
    write_ome_tiff(tmp_path / "s1.ome.tif", Field("s1", pixels, 0.5))
    labelled = {"Labels": ["Tubulin", "GFP", "DAPI", "ER"], "axes": "CYX"}
    tifffile.imwrite(tmp_path / "s2.tif", np.moveaxis(pixels, -1, 0), imagej=True, metadata=labelled)
    stacks = {path.name: path.read_bytes() for path in (tmp_path / "s1.ome.tif", tmp_path / "s2.tif")}
    client = serve()
    found = {}
    for name, data in stacks.items():
        for sent in ({name: data}, {"a.zip": make.zipped({f"deep/{name}": data})}):
            answer = client.post("/predict", files=make.form(sent))
            assert answer.status_code == 200, answer.text
            found[answer.json()["id"]] = answer.json()["probabilities"]
    assert set(found) == {"s1", "s2"}
    zipped = client.post("/predict", files=make.form({"f.zip": make.zipped(make.planes("z9"))}))
    assert zipped.json()["id"] == "z9"


def test_what_a_request_says_about_its_files(serve: Serve, make: Any) -> None:
    client = serve()
    four = make.planes()
    three = {name: data for name, data in four.items() if "yellow" not in name}
    renamed = {name.replace("_red", "_Ch 3"): data for name, data in four.items()}
    assert client.post("/predict", files=make.form(four), data={"pixel_size": "2,5"}).json()["warnings"] != [
        "pixel_size_assumed"
    ]
    missing = client.post("/predict", files=make.form(three), data={"allow_missing": "yellow"}).json()
    assert "missing channel: yellow" in missing["warnings"]
    assert client.post("/predict", files=make.form(renamed), data={"channels": "red=Ch 3"}).status_code == 200


def test_health_and_readiness(serve: Serve) -> None:
    client = serve()
    assert client.get("/healthz").json() == {"status": "ok"}
    served = client.app.state.service.model.version
    assert served.startswith("tiny0-0-")
    said = {"ready": True, "degraded": False, "served": served, "promoted": served, "reasons": []}
    assert (client.get("/readyz").status_code, client.get("/readyz").json()) == (200, said)
    client.app.state.service.pool.stop()
    said |= {"ready": False, "reasons": ["The service is stopping."]}
    assert (client.get("/readyz").status_code, client.get("/readyz").json()) == (503, said)
    assert client.get("/healthz").status_code == 200


def test_a_promotion_that_is_not_served_yet_shows(
    serve: Serve, make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    registry = Registry(tmp_path / "registry")
    versions = [registry.add(make_bundle(tmp_path / str(seed), seed), who="me", why="try").version for seed in (1, 2)]
    registry.promote(versions[0], who="me", why="first")
    client = serve(registry=registry.folder)
    client.app.state.service.model.stop()  # the test looks itself
    assert "lociscope_promotion_pending 0.0" in client.get("/metrics").text
    registry.promote(versions[1], who="me", why="better")
    away = tmp_path / "away"
    (registry.folder / "bundles" / versions[1]).rename(away)  # a copy of the registry whose bundle has not arrived
    client.app.state.service.model.refresh()
    said = client.get("/readyz")
    assert (said.status_code, said.json()) == (
        200,
        {
            "ready": True,
            "degraded": True,
            "served": versions[0],
            "promoted": versions[1],
            "reasons": ["The promoted bundle is not opened yet; see the log."],
        },
    )
    assert "lociscope_promotion_pending 1.0" in client.get("/metrics").text
    (registry.folder / "registry.json").write_text("{")
    client.app.state.service.model.refresh()
    said = client.get("/readyz").json()
    assert (said["degraded"], said["promoted"]) == (True, None)
    assert said["reasons"] == ["The registry cannot be read; see the log."]


def test_past_the_bound_503_and_when_to_ask_again(serve: Serve, make: Any) -> None:
    client = serve(max_in_flight=1)
    with client.app.state.service.pool.reserve():
        for answer in (
            client.post("/predict", files=make.form(make.planes())),
            client.get("/examples/microtubules"),
            client.post("/predict", files=make.form(make.planes()), headers=HTML),
        ):
            assert answer.status_code == 503
            assert 1 <= int(answer.headers["retry-after"]) <= 60
            assert "Busy" in answer.text
        assert client.get("/").status_code == 200
    assert client.post("/predict", files=make.form(make.planes())).status_code == 200


def test_the_figures(serve: Serve, make: Any) -> None:
    client = serve()
    said = client.post("/predict", files=make.form(make.planes())).json()
    client.get("/stranger1")
    client.get("/stranger2")
    figures = client.get("/metrics").text
    for line in (
        'lociscope_requests_total{route="/predict",status="200"} 1.0',
        'lociscope_requests_total{route="other",status="404"} 2.0',
        f'lociscope_fields_total{{status="{said["status"]}"}} 1.0',
        "lociscope_in_flight 0.0",
        'lociscope_bundle{name="tiny0"',
        'lociscope_request_seconds_count{route="/predict"} 1.0',
    ):
        assert line in figures
    assert "stranger" not in figures


def test_the_interface_is_described_for_readers_and_machines(serve: Serve, tmp_path: Path) -> None:
    client = serve(store=tmp_path / "store")
    schema = client.get("/openapi.json").json()
    page = client.get("/docs", headers=HTML).text
    assert set(schema["paths"]) >= {"/", "/predict", "/examples/{name}", "/healthz", "/readyz", "/metrics", "/models"}
    assert set(schema["paths"]) >= {
        "/jobs",
        "/jobs/{job_id}",
        "/jobs/{job_id}/fields/{number}",
        "/v2/models/{name}/infer",
    }
    for text in (*schema["paths"], *FIELD_TEXTS, "Retry-After", "curl", "probabilities"):
        assert text in page
    assert '<span data-root="./">http://localhost:8000/</span>predict' in page
    assert schema["servers"] == [{"url": "."}]


def test_statistics_are_computed_only_where_they_are_recorded(
    serve: Serve, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed = []

    def compute(*given: Any) -> np.ndarray:
        computed.append(given)
        return compute_statistics(*given)

    monkeypatch.setattr("lociscope.predict.predictor.compute_statistics", compute)
    assert serve().post("/predict", files=make.form(make.planes())).status_code == 200
    assert computed == []
    assert serve(log=str(tmp_path / "log.db")).post("/predict", files=make.form(make.planes())).status_code == 200
    assert len(computed) == 1


def test_the_log_keeps_what_was_predicted_and_not_the_examples(serve: Serve, make: Any, tmp_path: Path) -> None:
    log = tmp_path / "log.sqlite"
    client = serve(log=str(log))
    for seed in range(3):
        client.post("/predict", files=make.form(make.planes(f"f{seed}", seed)))
    client.get("/examples/microtubules")
    client.app.state.service.log_writer.close()
    with open_log(str(log)) as kept:
        window = kept.read()
    assert window.predictions.ids == ["f0", "f1", "f2"]
    assert set(window.commands) == {"serve"}
    assert window.predictions.embedding is not None


def test_a_picture_that_is_not_square_keeps_its_shape(serve: Serve, make: Any) -> None:
    wide = {name: make.png(np.random.default_rng(1).integers(0, 255, (40, 100), np.uint8)) for name in make.planes()}
    page = serve().post("/predict", files=make.form(wide), headers=HTML).text
    assert 'width="100" height="40"' in page
