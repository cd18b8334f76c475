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
from lociscope.service.answer import Answer, BundleAbout, Outcome, answer_to, bars_of
from lociscope.service.error_responses import wants_page
from lociscope.service.examples import Example, example_named, examples, source_of, thumbnail
from lociscope.service.forms import form_of
from lociscope.service.metrics import CONTENT_TYPE
from lociscope.service.page import render
from lociscope.service.reference import reference
from lociscope.service.state import Parts, parts_of
from lociscope.service.temporary_folder import shortage
from lociscope.service.uploads import MAX_FILES, Uploaded, field_in, folder_of, rules_of

if TYPE_CHECKING:
    from starlette.datastructures import FormData

FIELDS = ("pixel_size", "channels", "allow_missing", "plane")
_MOST_TEXT = 1 << 12

router = APIRouter()


class Error(BaseModel):
    """Why a request was not served."""

    model_config = ConfigDict(frozen=True)

    error: str = Field(description="What is wrong, what was received, and what to do: for people, and may change.")
    code: str = Field(description="What kind of error it is: for programs, and stable, such as missing-channel.")


class About(BaseModel):
    """What serves here."""

    model_config = ConfigDict(frozen=True)

    name: str = "lociscope"
    version: str
    bundle: BundleAbout
    labels: tuple[str, ...] = Field(LABELS, description="The 28 places, by class number.")
    examples: list[dict[str, Any]] = Field(description="Simulated fields to try, at /examples/{id}.")
    max_bytes: int = Field(description="Most bytes of a request.")
    max_in_flight: int = Field(description="Most predictions at once; past it 503 with Retry-After.")


class Readiness(BaseModel):
    """Whether new work is taken."""

    model_config = ConfigDict(frozen=True)

    ready: bool
    degraded: bool = Field(description="Whether another bundle is promoted than is served.")
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
COMPLAINTS: dict[int | str, dict[str, Any]] = {
    400: {"model": Error, "description": "No form, or not one that can be read."},
    408: {"model": Error, "description": "The upload is too slow."},
    413: {"model": Error, "description": "More bytes than the service takes."},
    422: {"model": Error, "description": "No field, more than one, or one that cannot be read."},
    503: {"model": Error, "description": "Busy or stopping; ask again after Retry-After seconds."},
    507: {"model": Error, "description": "The temporary folder is full or cannot be written."},
}


@router.get("/index.json", response_model=About, include_in_schema=False)
@router.get("/", response_model=About, summary="The page, and what serves here")
def home(request: Request) -> Response:
    """The page on which files are dropped; as JSON, the model, its limits, the labels and the examples."""
    if wants_page(request):
        return HTMLResponse(render("home.html", request))
    parts = parts_of(request)
    about = About(
        version=version("lociscope"),
        bundle=BundleAbout.of(parts.served.predictor.bundle),
        examples=[as_json(example) for example in examples()],
        max_bytes=parts.settings.max_bytes,
        max_in_flight=parts.settings.max_in_flight,
    )
    return JSONResponse(about.model_dump())


@router.post("/predict.json", response_model=Answer, include_in_schema=False, openapi_extra=UPLOAD)
@router.post("/predict", response_model=Answer, responses=COMPLAINTS, openapi_extra=UPLOAD, summary="Predict one field")
async def predict(request: Request) -> Response:
    """Says where the protein of one field is: the four pictures of it, or one stack, as a multipart form."""
    parts = parts_of(request)
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise HTTPException(400, "Expected files as multipart/form-data. With curl: curl -F files=@a1_red.png …")
    draw = wants_page(request)
    with parts.work.slot():
        async with form_of(request, MAX_FILES, 2 * len(FIELDS), _MOST_TEXT) as form:
            outcome = await parts.work.run(_of_upload, form, parts, draw)
        return await _answered(request, parts, outcome, None)


@router.get("/examples/{name}.jpg", include_in_schema=False)
def picture_of_example(name: str) -> Response:
    """A small composite of an example."""
    return Response(thumbnail(example_named(name)), media_type="image/jpeg")


@router.get(
    "/examples/{name}", response_model=Answer, responses={503: COMPLAINTS[503]}, summary="Predict a shipped example"
)
@router.get(
    "/examples/{name}.json", response_model=Answer, include_in_schema=False
)  # known before the other: it is more special
async def example(request: Request, name: Annotated[str, Path(description="As / lists them.")]) -> Response:
    """Predicts one of the simulated fields that ship with the service."""
    parts = parts_of(request)
    one = example_named(name)
    draw = wants_page(request)
    with parts.work.slot():
        outcome = await parts.work.run(answer_to, source_of(one), parts.served.predictor, draw=draw)
        return await _answered(request, parts, outcome, one)


@router.get("/healthz", summary="Whether the process lives")
async def health() -> dict[str, str]:
    """Answers as long as the process does."""
    return {"status": "ok"}


@router.get(
    "/readyz",
    response_model=Readiness,
    responses={503: {"model": Readiness, "description": "It is stopping, or cannot store an upload."}},
    summary="Whether it takes work",
)
def ready(request: Request) -> Response:
    """Says whether new work is taken, and whether the promoted bundle is the one that is served."""
    parts = parts_of(request)
    lacking = shortage()
    against = [
        *(["The service is stopping."] if parts.work.stopping else []),
        *([f"The temporary folder cannot be written: {lacking}."] if lacking else []),
    ]
    promoted = parts.served.promoted
    unread = "The registry cannot be read" if promoted is None else "The promoted bundle is not opened yet"
    pending = [f"{unread}; the log says why."] if parts.served.pending else []
    said = Readiness(
        ready=not against,
        degraded=bool(pending),
        served=parts.served.version,
        promoted=promoted,
        reasons=[*against, *pending],
    )
    return JSONResponse(said.model_dump(), 503 if against else 200)


@router.get("/metrics", summary="Figures for Prometheus", response_class=Response)
def metrics(request: Request) -> Response:
    """Requests, their time, fields by status, places, what is in flight, and the process."""
    parts = parts_of(request)
    return Response(parts.metrics.text(parts.served), media_type=CONTENT_TYPE)


@router.get("/docs", response_class=HTMLResponse, include_in_schema=False)
def docs(request: Request) -> Response:
    """This interface for a reader; its twin is `/openapi.json`."""
    return HTMLResponse(render("docs.html", request, **reference(request.app.openapi())))


def as_json(example: Example) -> dict[str, Any]:
    """An example as `/index.json` lists it."""
    return {"id": example.id, "cell_line": example.cell_line, "drawn": example.drawn, "pixel_size": example.pixel_size}


def _of_upload(form: FormData, parts: Parts, draw: bool) -> Outcome:
    """Reads and predicts what a form holds; runs in a thread."""
    texts = {name: str(form.get(name, "")) for name in FIELDS}
    files = [Uploaded(each.filename, each.file) for _, each in form.multi_items() if isinstance(each, UploadFile)]
    with folder_of(files) as folder:
        source = field_in(folder, rules_of(**texts))
        return answer_to(source, parts.served.predictor, draw=draw, embeddings=parts.log is not None)


async def _answered(request: Request, parts: Parts, outcome: Outcome, shown: Example | None) -> Response:
    parts.metrics.predicted(outcome.answer)
    if shown is None:
        parts.journal.add(outcome.predictions, outcome.prepared.statistics[None], bundle=outcome.bundle)
    if outcome.picture is None:
        return Response(outcome.answer.model_dump_json(), media_type="application/json")
    values = {"answer": outcome.answer, "bars": bars_of(outcome.answer), "picture": outcome.picture, "example": shown}
    return HTMLResponse(await run_in_threadpool(render, "result.html", request, **values))
