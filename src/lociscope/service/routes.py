"""The addresses of the service: each page, and its twin in JSON."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from lociscope.labels import LABELS
from lociscope.service.answer import Answer, BundleInfo, FieldResult, make_bars, predict_field
from lociscope.service.error_responses import wants_page
from lociscope.service.examples import Example, example_source, examples, find_example, make_thumbnail
from lociscope.service.forms import read_form
from lociscope.service.metrics import CONTENT_TYPE
from lociscope.service.page import render
from lociscope.service.reference import reference
from lociscope.service.state import AppState, get_state
from lociscope.service.temporary_folder import find_shortage
from lociscope.service.uploads import MAX_FILES, UploadedFile, find_field, parse_rules, store_files

if TYPE_CHECKING:
    from starlette.datastructures import FormData

FIELDS = ("pixel_size", "channels", "allow_missing", "plane")
_MOST_TEXT = 1 << 12

router = APIRouter()


class Error(BaseModel):
    """Why a request was refused."""

    model_config = ConfigDict(frozen=True)

    error: str = Field(description="What is wrong, what was received, and what to do: for people, and may change.")
    code: str = Field(description="What kind of error it is: for programs, and stable, such as missing-channel.")


class ServiceInfo(BaseModel):
    """What serves here."""

    model_config = ConfigDict(frozen=True)

    name: str = "lociscope"
    version: str
    bundle: BundleInfo
    labels: tuple[str, ...] = Field(LABELS, description="The 28 places, by class number.")
    examples: list[dict[str, Any]] = Field(description="Simulated fields to try, at /examples/{id}.")
    max_bytes: int = Field(description="Most bytes of a request.")
    max_in_flight: int = Field(description="Most predictions at once; past it 503 with Retry-After.")


class Readiness(BaseModel):
    """Whether the service accepts requests."""

    model_config = ConfigDict(frozen=True)

    ready: bool
    degraded: bool = Field(description="Whether another bundle is promoted than is in use.")
    served: str = Field(description="The bundle that answers: name, version and the first 8 of its sha256.")
    promoted: str | None = Field(description="The bundle that ought to answer; null where the registry cannot be read.")
    reasons: list[str] = Field(description="Why it is not ready, or degraded.")


UPLOAD: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {
                        "files": {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                            "description": "Four pictures of one field, named by their channel (a1_red.png …), one "
                            "stack (TIFF, OME-TIFF, ImageJ) with named channels, or a zip of either.",
                        },
                        "pixel_size": {"type": "number", "description": "Side of a pixel, µm."},
                        "channels": {"type": "string", "description": "What files call channels: red=…,green=…"},
                        "allow_missing": {"type": "string", "description": "A channel that may be missing: yellow."},
                        "plane": {"type": "integer", "description": "The slice of a stack, from 0."},
                    },
                }
            }
        },
    }
}  # fmt: skip
ERROR_RESPONSES: dict[int | str, dict[str, Any]] = {
    400: {"model": Error, "description": "No form, or not one that can be read."},
    408: {"model": Error, "description": "The upload is too slow."},
    413: {"model": Error, "description": "More bytes than the service takes."},
    422: {"model": Error, "description": "No field, more than one, or one that cannot be read."},
    503: {"model": Error, "description": "Busy or stopping; ask again after Retry-After seconds."},
    507: {"model": Error, "description": "The temporary folder is full or cannot be written."},
}


@router.get("/index.json", response_model=ServiceInfo, include_in_schema=False)
@router.get("/", response_model=ServiceInfo, summary="The page, and what serves here")
def home(request: Request) -> Response:
    """The page on which files are dropped; as JSON, the model, its limits, the labels and the examples."""
    if wants_page(request):
        return HTMLResponse(render("home.html", request))
    state = get_state(request)
    about = ServiceInfo(
        version=version("lociscope"),
        bundle=BundleInfo.from_bundle(state.model.predictor.bundle),
        examples=[example_to_json(example) for example in examples()],
        max_bytes=state.settings.max_bytes,
        max_in_flight=state.settings.max_in_flight,
    )
    return JSONResponse(about.model_dump())


@router.post("/predict.json", response_model=Answer, include_in_schema=False, openapi_extra=UPLOAD)
@router.post(
    "/predict", response_model=Answer, responses=ERROR_RESPONSES, openapi_extra=UPLOAD, summary="Predict one field"
)
async def predict(request: Request) -> Response:
    """Says where the protein of one field is: the four pictures of it, or one stack, as a multipart form."""
    state = get_state(request)
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise HTTPException(400, "Expected files as multipart/form-data. With curl: curl -F files=@a1_red.png …")
    draw = wants_page(request)
    with state.pool.slot():
        async with read_form(request, MAX_FILES, 2 * len(FIELDS), _MOST_TEXT) as form:
            outcome = await state.pool.run(_predict_upload, form, state, draw)
        return await _respond(request, state, outcome, None)


@router.get("/examples/{name}.jpg", include_in_schema=False)
def picture_of_example(name: str) -> Response:
    """A small composite of an example."""
    return Response(make_thumbnail(find_example(name)), media_type="image/jpeg")


@router.get(
    "/examples/{name}",
    response_model=Answer,
    responses={503: ERROR_RESPONSES[503]},
    summary="Predict a shipped example",
)
@router.get(
    "/examples/{name}.json", response_model=Answer, include_in_schema=False
)  # known before the other: it is more special
async def example(request: Request, name: Annotated[str, Path(description="As / lists them.")]) -> Response:
    """Predicts one of the simulated fields that ship with the service."""
    state = get_state(request)
    one = find_example(name)
    draw = wants_page(request)
    with state.pool.slot():
        outcome = await state.pool.run(predict_field, example_source(one), state.model.predictor, draw=draw)
        return await _respond(request, state, outcome, one)


@router.get("/healthz", summary="Whether the process lives")
async def health() -> dict[str, str]:
    """Answers as long as the process does."""
    return {"status": "ok"}


@router.get(
    "/readyz",
    response_model=Readiness,
    responses={503: {"model": Readiness, "description": "It is stopping, or cannot store an upload."}},
    summary="Whether it accepts requests",
)
def ready(request: Request) -> Response:
    """Say whether the service accepts requests, and whether the promoted bundle is the one in use."""
    state = get_state(request)
    lacking = find_shortage()
    against = [
        *(["The service is stopping."] if state.pool.stopping else []),
        *([f"The temporary folder cannot be written: {lacking}."] if lacking else []),
    ]
    promoted = state.model.promoted
    unread = "The registry cannot be read" if promoted is None else "The promoted bundle is not opened yet"
    pending = [f"{unread}; the log says why."] if state.model.pending else []
    said = Readiness(
        ready=not against,
        degraded=bool(pending),
        served=state.model.version,
        promoted=promoted,
        reasons=[*against, *pending],
    )
    return JSONResponse(said.model_dump(), 503 if against else 200)


@router.get("/metrics", summary="Figures for Prometheus", response_class=Response)
def metrics(request: Request) -> Response:
    """Requests, their time, fields by status, places, what is in flight, and the process."""
    state = get_state(request)
    return Response(state.metrics.render(state.model), media_type=CONTENT_TYPE)


@router.get("/docs", response_class=HTMLResponse, include_in_schema=False)
def docs(request: Request) -> Response:
    """This interface for a reader; its twin is `/openapi.json`."""
    return HTMLResponse(render("docs.html", request, **reference(request.app.openapi())))


def example_to_json(example: Example) -> dict[str, Any]:
    """An example as `/index.json` lists it."""
    return {"id": example.id, "cell_line": example.cell_line, "drawn": example.drawn, "pixel_size": example.pixel_size}


def _predict_upload(form: FormData, state: AppState, draw: bool) -> FieldResult:
    """Reads and predicts what a form holds; runs in a thread."""
    texts = {name: str(form.get(name, "")) for name in FIELDS}
    files = [UploadedFile(each.filename, each.file) for _, each in form.multi_items() if isinstance(each, UploadFile)]
    with store_files(files) as folder:
        source = find_field(folder, parse_rules(**texts))
        return predict_field(source, state.model.predictor, draw=draw, embeddings=state.log is not None)


async def _respond(request: Request, state: AppState, outcome: FieldResult, shown: Example | None) -> Response:
    state.metrics.count_field(outcome.answer)
    if shown is None:
        state.log_writer.add(outcome.predictions, outcome.prepared.statistics[None], bundle=outcome.bundle)
    if outcome.picture is None:
        return Response(outcome.answer.model_dump_json(), media_type="application/json")
    values = {"answer": outcome.answer, "bars": make_bars(outcome.answer), "picture": outcome.picture, "example": shown}
    return HTMLResponse(await run_in_threadpool(render, "result.html", request, **values))
