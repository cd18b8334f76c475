"""The Open Inference Protocol: by its JSON and binary form, and by Triton's own client."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fixtures.pixels import patches

from lociscope.images.field import Field
from lociscope.predict.predictor import open_bundle
from lociscope.service.inference import HEADER

if TYPE_CHECKING:
    from pathlib import Path

URL = "/v2/models/lociscope"


def pixels(n: int = 1) -> np.ndarray:
    return np.stack([patches((32, 32, 4), seed) for seed in range(n)]).astype(np.uint8)


def request(values: np.ndarray, kind: str = "UINT8", **more: Any) -> dict[str, Any]:
    one = {"name": "fields", "shape": list(values.shape), "datatype": kind, "data": values.ravel().tolist()}
    return {"inputs": [one], **more}


def shaped(shape: list[float], data: object) -> bytes:
    """A request of any shape and data."""
    return json.dumps({"inputs": [{"name": "fields", "shape": shape, "datatype": "UINT8", "data": data}]}).encode()


def test_metadata_and_health(serve: Any) -> None:
    client = serve()
    assert client.get("/v2").json()["name"] == "lociscope"
    assert client.get("/v2/health/live").status_code == 200
    assert client.get("/v2/health/ready").status_code == 200
    model = client.get(URL).json()
    assert (model["inputs"][0]["shape"], model["outputs"][0]["shape"]) == ([-1, -1, -1, 4], [-1, 28])
    assert client.get(f"{URL}/ready").status_code == 200
    assert client.get(f"{URL}/versions/{model['versions'][0]}").json() == model
    for address in ("/v2/models/other", f"{URL}/versions/0", "/v2/models/other/ready"):
        assert client.get(address).status_code == 404


@pytest.mark.parametrize(("kind", "factor"), [("UINT8", 1), ("UINT16", 257), ("FP32", 1)])
def test_json_gives_the_probabilities_of_the_predictor(serve: Any, tiny_bundle: Path, kind: str, factor: int) -> None:
    values = pixels(2).astype(np.float64) * factor
    answer = serve().post(f"{URL}/infer", json=request(values, kind, id="mine", parameters={"pixel_size": 0.32}))
    assert answer.status_code == 200, answer.text
    said = answer.json()
    typed = values.astype({"UINT8": "u1", "UINT16": "u2", "FP32": "f4"}[kind])
    expected = open_bundle(tiny_bundle).predict([Field(str(k), each, 0.32) for k, each in enumerate(typed)])
    (output,) = said["outputs"]
    assert (said["id"], output["name"], output["shape"]) == ("mine", "probabilities", [2, 28])
    np.testing.assert_allclose(np.reshape(output["data"], (2, 28)), expected.probability, atol=1e-6)


def test_binary_data_go_in_and_out(serve: Any) -> None:
    client, values = serve(), pixels(2)
    one = {"name": "fields", "shape": list(values.shape), "datatype": "UINT8",
           "parameters": {"binary_data_size": values.nbytes}}  # fmt: skip
    asked = {"inputs": [one], "outputs": [{"name": "probabilities", "parameters": {"binary_data": True}}]}
    head = json.dumps(asked).encode()
    answer = client.post(f"{URL}/infer", content=head + values.tobytes(), headers={HEADER: str(len(head))})
    length = int(answer.headers[HEADER])
    (output,) = json.loads(answer.content[:length])["outputs"]
    binary = np.frombuffer(answer.content[length:], "<f4").reshape(output["shape"])
    plain = client.post(f"{URL}/infer", json=request(values)).json()["outputs"][0]["data"]
    np.testing.assert_allclose(binary.ravel(), plain, atol=1e-6)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{", b'{"inputs": []}', b'{"inputs": 3}', b'{"inputs": [{"name": "fields"}]}',
        json.dumps(request(pixels()[..., :3])).encode(),
        json.dumps(request(pixels(), "BYTES")).encode(),
        json.dumps(request(pixels()[0])).encode(),
        json.dumps(request(pixels(), outputs=[{"name": "other"}])).encode(),
        json.dumps(request(pixels(), parameters={"pixel_size": -1})).encode(),
        shaped([1, 9000, 9000, 4], []), shaped([1, 2, 2, 4], [300] * 16), shaped([1, 2, 2, 4], [0] * 15),
        shaped([1, 2, float("inf"), 4], []), shaped([1, 2, 2, 4], [10**400] * 16), shaped([1, 2, 2, 4], {}),
        json.dumps(request(pixels(), outputs=[{"name": "probabilities", "parameters": 3}])).encode(),
    ],
)  # fmt: skip
def test_what_does_not_follow_the_protocol_is_refused(serve: Any, body: bytes) -> None:
    answer = serve().post(f"{URL}/infer", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]


def test_an_output_is_asked_for_once(serve: Any) -> None:
    asked = request(pixels(), outputs=[{"name": "probabilities"}, {"name": "probabilities"}])
    assert serve().post(f"{URL}/infer", json=asked).status_code == 400


def test_a_wrong_length_of_the_json_part(serve: Any) -> None:
    for length in ("-1", "x", "99999999999", "9" * 5000):
        assert serve().post(f"{URL}/infer", content=b"{}", headers={HEADER: length}).status_code == 400


@pytest.mark.slow
def test_tritons_client(served: Any, tiny_bundle: Path) -> None:
    triton = pytest.importorskip("tritonclient.http", reason="tritonclient is not installed")
    values = pixels(2)
    expected = open_bundle(tiny_bundle).predict(values).probability
    with served("--bundle", tiny_bundle) as (_, address):
        client = triton.InferenceServerClient(address.removeprefix("http://"))
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("lociscope")
        assert client.get_model_metadata("lociscope")["inputs"][0]["name"] == "fields"
        one = triton.InferInput("fields", list(values.shape), "UINT8")
        one.set_data_from_numpy(values)
        for binary in (True, False):
            wanted = triton.InferRequestedOutput("probabilities", binary_data=binary)
            found = client.infer("lociscope", [one], outputs=[wanted]).as_numpy("probabilities")
            np.testing.assert_allclose(found, expected, atol=1e-5)
        client.close()
