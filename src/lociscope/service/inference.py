"""The Open Inference Protocol, version 2: the same predictor for clients of Triton and KServe.

The model takes fields of any size, (n, y, x, 4) with channels RGBY, as UINT8, UINT16 or FP32, in JSON or as binary
data. Prepares them as `/predict` does, and gives probabilities, and the embedding where the model has one.
"""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from lociscope.channels import CHANNEL_NAMES
from lociscope.errors import LociscopeError
from lociscope.images.field import Field
from lociscope.labels import LABELS, N_LABELS
from lociscope.predict.predictor import Predictor, check_field
from lociscope.service.state import get_state

router = APIRouter(prefix="/v2")

NAME = "lociscope"
INPUT, OUTPUT, EMBEDDING = "fields", "probabilities", "embedding"
TYPES: dict[str, np.dtype[Any]] = {"UINT8": np.dtype("u1"), "UINT16": np.dtype("<u2"), "FP32": np.dtype("<f4")}
"""Datatypes of the input."""

HEADER = "inference-header-content-length"
MAX_FIELDS, MAX_SIDE = 64, 8192
"""Maximum fields of a request, and pixels along a side."""


@router.get("", summary="Open Inference Protocol: the server")
async def server_metadata() -> dict[str, Any]:
    """Return name, version and extensions."""
    return {"name": NAME, "version": version("lociscope"), "extensions": ["binary_tensor_data"]}


@router.get("/health/live", summary="Open Inference Protocol: liveness")
async def live() -> dict[str, bool]:
    """Answer while the process runs."""
    return {"live": True}


@router.get(
    "/health/ready", summary="Open Inference Protocol: readiness", responses={503: {"description": "Stopping."}}
)
async def ready(request: Request) -> Response:
    """Say whether requests are accepted."""
    stopping = get_state(request).pool.stopping
    return JSONResponse({"ready": not stopping}, 503 if stopping else 200)


@router.get(
    "/models/{name}", summary="Open Inference Protocol: the model", responses={404: {"description": "Unknown."}}
)
@router.get("/models/{name}/versions/{model_version}", include_in_schema=False)
async def model_metadata(request: Request, name: str, model_version: str = "") -> dict[str, Any]:
    """Return the inputs and outputs of the model; its version is that of the bundle in use."""
    predictor = _find_model(request, name, model_version)
    outputs: list[dict[str, Any]] = [{"name": OUTPUT, "datatype": "FP32", "shape": [-1, N_LABELS]}]
    if EMBEDDING in predictor.engine.outputs:
        outputs.append({"name": EMBEDDING, "datatype": "FP32", "shape": [-1, -1]})
    return {
        "name": NAME,
        "versions": [predictor.bundle.sha256[:12]],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": INPUT, "datatype": "UINT8", "shape": [-1, -1, -1, len(CHANNEL_NAMES)]}],
        "outputs": outputs,
        "parameters": {"labels": list(LABELS), "channels": list(CHANNEL_NAMES)},
    }


@router.get("/models/{name}/ready", summary="Open Inference Protocol: the model is ready")
@router.get("/models/{name}/versions/{model_version}/ready", include_in_schema=False)
async def model_ready(request: Request, name: str, model_version: str = "") -> dict[str, Any]:
    """Say whether the model accepts requests."""
    _find_model(request, name, model_version)
    return {"name": NAME, "ready": True}


@router.post("/models/{name}/infer", summary="Open Inference Protocol: predict", responses={
    400: {"description": "The request does not follow the protocol, or has other inputs than the model."},
    404: {"description": "There is no such model."},
    503: {"description": "Busy or stopping; try again after Retry-After seconds."},
})  # fmt: skip
@router.post("/models/{name}/versions/{model_version}/infer", include_in_schema=False)
async def infer(request: Request, name: str, model_version: str = "") -> Response:
    """Predict fields (n, y, x, 4), channels RGBY; a parameter `pixel_size` gives the side of a pixel in µm."""
    predictor = _find_model(request, name, model_version)
    state = get_state(request)
    with state.pool.reserve():
        body = await request.body()
        asked, fields = await run_in_threadpool(_parse, request.headers.get(HEADER), body)
        names = [each["name"] for each in asked.get("outputs", [])] or [OUTPUT]
        unknown = [each for each in names if each not in (OUTPUT, EMBEDDING) or each not in predictor.engine.outputs]
        if len(set(names)) < len(names):
            raise HTTPException(400, "An output is asked for twice. Name each once.")
        if unknown:
            raise HTTPException(400, f"The model has no output {str(unknown[0])[:40]!r}.")
        try:
            outputs = await state.pool.run(_predict, predictor, fields, EMBEDDING in names)
        except LociscopeError as error:
            raise HTTPException(400, str(error)) from error
        return await run_in_threadpool(_respond, asked, names, outputs, predictor)


def _find_model(request: Request, name: str, model_version: str) -> Predictor:
    predictor = get_state(request).model.predictor
    if name != NAME or (model_version and model_version != predictor.bundle.sha256[:12]):
        raise HTTPException(404, f"There is no model {name[:40]!r} of this version; the model is {NAME!r}.")
    return predictor


def _parse(length: str | None, body: bytes) -> tuple[dict[str, Any], list[Field]]:
    """Return the request and its fields.

    Raises:
        HTTPException: 400, it does not follow the protocol.
    """
    if length is not None and not (re.fullmatch("[0-9]{1,12}", length) and int(length) <= len(body)):
        raise HTTPException(400, f"{HEADER} is {length[:20]!r}; expected the bytes of the JSON part.")
    end = len(body) if length is None else int(length)
    try:
        asked = json.loads(body[:end])
        (one,) = asked["inputs"]
        shape, kind = [int(side) for side in one["shape"]], TYPES[one["datatype"]]
        pixel_size = asked.get("parameters", {}).get("pixel_size")
        size = None if pixel_size is None else float(pixel_size)
        outputs = asked.get("outputs", [])
        valid = one["name"] == INPUT and all(map(_is_valid_output, outputs))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        raise HTTPException(
            400,
            f"Expected one input {INPUT!r} of the type {', '.join(TYPES)} with its shape, as JSON.",
        ) from None
    if not valid or len(shape) != 4 or shape[3] != len(CHANNEL_NAMES) or not _is_possible(shape):
        raise HTTPException(
            400, f"Expected the input {INPUT!r} of the shape (n, y, x, 4), n to {MAX_FIELDS}, sides to {MAX_SIDE}; "
            f"received {str(shape)[:80]}."
        )  # fmt: skip
    pixels = _read_pixels(one, kind, shape, body[end:])
    return asked, [Field(str(number), each, size) for number, each in enumerate(pixels)]


def _is_valid_output(asked: dict[str, Any]) -> bool:
    return isinstance(asked["name"], str) and isinstance(asked.get("parameters", {}), dict)


def _is_possible(shape: list[int]) -> bool:
    return 1 <= shape[0] <= MAX_FIELDS and all(1 <= side <= MAX_SIDE for side in shape[1:3])


def _read_pixels(one: dict[str, Any], kind: np.dtype[Any], shape: list[int], binary: bytes) -> np.ndarray:
    expected = int(np.prod(shape))
    try:
        size = one.get("parameters", {}).get("binary_data_size")
        if size is None:
            values = np.asarray(one["data"], np.float64).ravel()
            if values.size != expected or not np.isfinite(values).all():
                raise ValueError(f"{values.size} finite numbers")
            if kind.kind == "u" and not ((values >= 0) & (values <= np.iinfo(kind).max)).all():
                raise ValueError("values out of range")
            return values.astype(kind).reshape(shape)
        if int(size) != len(binary) or len(binary) != expected * kind.itemsize:
            raise ValueError(f"{len(binary)} bytes")
        return np.frombuffer(binary, kind).reshape(shape)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise HTTPException(400, f"The data of {INPUT!r} do not fit its shape {shape} ({str(error)[:80]}).") from None


def _predict(predictor: Predictor, fields: list[Field], embeddings: bool) -> dict[str, np.ndarray]:
    predictions = predictor.run([predictor.prepare(check_field(each)) for each in fields], embeddings=embeddings)
    found = {OUTPUT: predictions.probability}
    if predictions.embedding is not None:
        found[EMBEDDING] = predictions.embedding
    return found


def _respond(asked: dict[str, Any], names: list[str], outputs: dict[str, np.ndarray], predictor: Predictor) -> Response:
    """Return the outputs as JSON, or as binary data where the request asks for that."""
    everything = bool(asked.get("parameters", {}).get("binary_data_output", False))
    wanted = {each["name"]: each for each in asked.get("outputs", [])}
    described, parts = [], []
    for name in names:
        values = np.ascontiguousarray(outputs[name], "<f4")
        one: dict[str, Any] = {"name": name, "datatype": "FP32", "shape": list(values.shape)}
        if wanted.get(name, {}).get("parameters", {}).get("binary_data", everything):
            one["parameters"] = {"binary_data_size": values.nbytes}
            parts.append(values.tobytes())
        else:
            one["data"] = [round(float(value), 7) for value in values.ravel()]
        described.append(one)
    answer = {"model_name": NAME, "model_version": predictor.bundle.sha256[:12], "outputs": described}
    if isinstance(asked.get("id"), str):
        answer["id"] = asked["id"][:256]
    text = json.dumps(answer).encode()
    if not parts:
        return Response(text, media_type="application/json")
    headers = {HEADER: str(len(text))}
    return Response(b"".join([text, *parts]), media_type="application/octet-stream", headers=headers)
