"""The routes of the service: each page, and the same in JSON."""

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
from lociscope.registry.model_registry import Registry
from lociscope.service.answer import Answer, BundleInfo, FieldResult, describe_answer, predict_field
from lociscope.service.error_responses import wants_page
from lociscope.service.examples import Example, example_source, examples, find_example, make_thumbnail
from lociscope.service.forms import read_form
from lociscope.service.metrics import CONTENT_TYPE
from lociscope.service.page import relative_root, render
from lociscope.service.picture import link_picture
from lociscope.service.reference import describe_interface
from lociscope.service.state import AppState, get_state
from lociscope.service.temporary_folder import find_shortage
from lociscope.service.upload_schema import FIELD_TEXTS, UPLOAD_ERRORS, describe_upload
from lociscope.service.uploads import MAX_FILES, UploadedFile, find_field, parse_rules, store_files

if TYPE_CHECKING:
    from starlette.datastructures import FormData

_MOST_TEXT = 1 << 12

router = APIRouter()


class ServiceInfo(BaseModel):
    """The service: its version, model, labels, examples and limits."""

    model_config = ConfigDict(frozen=True)

    name: str = "lociscope"
    version: str
    bundle: BundleInfo
    labels: tuple[str, ...] = Field(LABELS, description="The 28 locations, by class number.")
    examples: list[dict[str, Any]] = Field(description="Simulated fields to try, at /examples/{id}.")
    max_bytes: int = Field(description="Maximum number of bytes of a request.")
    max_in_flight: int = Field(description="Maximum number of predictions at once; beyond it 503 with Retry-After.")


class Readiness(BaseModel):
    """Whether the service accepts requests."""

    model_config = ConfigDict(frozen=True)

    ready: bool
    degraded: bool = Field(description="Whether another bundle is promoted than in use, or jobs wait for a database.")
    served: str = Field(description="The bundle in use: name, version and the first 8 digits of its sha256.")
    promoted: str | None = Field(description="The promoted bundle; null if the registry cannot be read.")
    reasons: list[str] = Field(description="Why the service is not ready, or degraded.")


UPLOAD = describe_upload(
    "Four pictures of one field, named by their channel (a1_red.png …), one stack (TIFF, OME-TIFF, ImageJ) with named "
    "channels, or a zip of either.",
    FIELD_TEXTS,
)


@router.get("/index.json", response_model=ServiceInfo, include_in_schema=False)
@router.get("/", response_model=ServiceInfo, summary="The page, or a description of the service")
def home(request: Request) -> Response:
    """Show the page for uploads; as JSON, return the model, its limits, the labels and the examples."""
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
    "/predict", response_model=Answer, responses=UPLOAD_ERRORS, openapi_extra=UPLOAD, summary="Predict one field"
)
async def predict(request: Request) -> Response:
    """Predict one field: its four pictures, or one stack, as a multipart form."""
    state = get_state(request)
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise HTTPException(400, "Expected files as multipart/form-data. With curl: curl -F files=@a1_red.png …")
    with state.pool.reserve():
        async with read_form(request, MAX_FILES, 2 * len(FIELD_TEXTS), _MOST_TEXT) as form:
            outcome = await state.pool.run(_predict_upload, form, state, wants_page(request))
        return await _respond(request, state, outcome, None)


@router.get("/examples/{name}.jpg", include_in_schema=False)
def show_thumbnail(name: str) -> Response:
    """Return a small composite of an example."""
    return Response(make_thumbnail(find_example(name)), media_type="image/jpeg")


@router.get(
    "/examples/{name}",
    response_model=Answer,
    responses={503: UPLOAD_ERRORS[503]},
    summary="Predict a shipped example",
)
# Applied first, so that the route above does not match its addresses.
@router.get("/examples/{name}.json", response_model=Answer, include_in_schema=False)
async def example(request: Request, name: Annotated[str, Path(description="An id from the list at /.")]) -> Response:
    """Predict one of the simulated fields that ship with the service."""
    state = get_state(request)
    one = find_example(name)
    with state.pool.reserve():
        outcome = await state.pool.run(
            predict_field, example_source(one), state.model.predictor, with_picture=wants_page(request)
        )
        if outcome.picture is not None:
            columns, rows, size = outcome.picture.columns, outcome.picture.rows, outcome.picture.pixel_size
            base = f"{relative_root(request)}examples/{name}"
            outcome = outcome._replace(picture=link_picture(base, columns, rows, size))
        return await _respond(request, state, outcome, one)


class ModelInfo(BaseModel):
    """A model of the registry, or the one that is served."""

    model_config = ConfigDict(frozen=True)

    version: str = Field(description="Name, version and the first 8 digits of the sha256.")
    served: bool = Field(description="Whether this process predicts with it.")
    promoted: bool = Field(description="Whether it is the one to predict with.")


@router.get("/models", response_model=list[ModelInfo], summary="The models")
def models(request: Request) -> list[ModelInfo]:
    """Return the bundle in use, and the others of the registry, if there is one."""
    state = get_state(request)
    served, promoted = state.model.version, state.model.promoted
    names = [served]
    if state.settings.registry is not None:
        names += [entry.version for entry in Registry(state.settings.registry).entries() if entry.version != served]
    return [ModelInfo(version=name, served=name == served, promoted=name == promoted) for name in names]


@router.get("/healthz", summary="Liveness check")
async def health() -> dict[str, str]:
    """Answer as long as the process runs."""
    return {"status": "ok"}


@router.get(
    "/readyz",
    response_model=Readiness,
    responses={503: {"model": Readiness, "description": "The service is stopping, or cannot store an upload."}},
    summary="Whether it accepts requests",
)
def ready(request: Request) -> Response:
    """Say whether the service accepts requests, and whether the promoted bundle is the one in use."""
    state = get_state(request)
    shortage = find_shortage()
    blocking = [
        *(["The service is stopping."] if state.pool.stopping else []),
        *([f"The temporary folder cannot be written: {shortage}."] if shortage else []),
    ]
    promoted = state.model.promoted
    reason = "The registry cannot be read" if promoted is None else "The promoted bundle is not opened yet"
    pending = [f"{reason}; see the log."] if state.model.is_pending else []
    if state.runner is not None and state.runner.trouble:
        pending.append("Jobs wait until their database can be used; see the log.")
    readiness = Readiness(
        ready=not blocking,
        degraded=bool(pending),
        served=state.model.version,
        promoted=promoted,
        reasons=[*blocking, *pending],
    )
    return JSONResponse(readiness.model_dump(), 503 if blocking else 200)


@router.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
def metrics(request: Request) -> Response:
    """Return requests, their duration, fields by status, locations, predictions in flight, and the process."""
    state = get_state(request)
    return Response(state.metrics.render(state.model), media_type=CONTENT_TYPE)


@router.get("/docs", response_class=HTMLResponse, include_in_schema=False)
def docs(request: Request) -> Response:
    """Show this interface; `/openapi.json` describes it for programs."""
    return HTMLResponse(render("docs.html", request, **describe_interface(request.app.openapi())))


def example_to_json(example: Example) -> dict[str, Any]:
    """Return an example as `/index.json` lists it."""
    return {
        "id": example.id,
        "cell_line": example.cell_line,
        "locations": example.locations,
        "pixel_size": example.pixel_size,
    }


def _predict_upload(form: FormData, state: AppState, with_picture: bool) -> FieldResult:
    """Read, predict and record the upload of a form, in a thread of the pool."""
    texts = {name: str(form.get(name, "")) for name in FIELD_TEXTS}
    files = [UploadedFile(each.filename, each.file) for _, each in form.multi_items() if isinstance(each, UploadFile)]
    with store_files(files) as folder:
        source = find_field(folder, parse_rules(**texts))
        candidate = state.candidate
        outcome = predict_field(
            source,
            state.model.predictor if candidate is None else candidate.choose(source.id),
            with_picture=with_picture,
            embeddings=state.records,
            offer=None if candidate is None else candidate.offer,
        )
    state.record(outcome.predictions, outcome.prepared, outcome.answer.bundle.sha256)
    return outcome


async def _respond(request: Request, state: AppState, outcome: FieldResult, shown: Example | None) -> Response:
    state.metrics.count_field(outcome.answer)
    if outcome.picture is None:
        return Response(outcome.answer.model_dump_json(), media_type="application/json")
    values = describe_answer(outcome.answer) | {"picture": outcome.picture, "example": shown}
    return HTMLResponse(await run_in_threadpool(render, "result.html", request, **values))
