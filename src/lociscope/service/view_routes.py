"""What the page of an example loads, as the pages of the fields of jobs do: channels, evidence, cells."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Annotated, Any, ParamSpec, TypeVar

import numpy as np
from fastapi import APIRouter, Path, Query, Request, Response
from starlette.exceptions import HTTPException

from lociscope.channels import CHANNEL_NAMES
from lociscope.errors import LociscopeError, MissingExtraError
from lociscope.labels import N_LABELS
from lociscope.service.examples import example_source, find_example
from lociscope.service.state import AppState, get_state
from lociscope.service.views import LARGE, SMALL, CellsInfo, Viewed, read_cells, read_channel, read_evidence

Result = TypeVar("Result")
Params = ParamSpec("Params")

logger = logging.getLogger(__name__)
router = APIRouter()

ChannelPath = Annotated[str, Path(description="red, green, blue or yellow.", pattern=f"^({'|'.join(CHANNEL_NAMES)})$")]
LocationPath = Annotated[int, Path(description="The class number.", ge=0, lt=N_LABELS)]
Full = Annotated[bool, Query(description=f"The resolution of the field, up to {LARGE} px; otherwise up to {SMALL} px.")]

PICTURE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/webp": {}, "image/jpeg": {}}, "description": "A grey picture."}
}
EVIDENCE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/png": {}}, "description": "A grey picture, white where the evidence is strongest."}
}


@router.get("/examples/{name}/channels/{channel}", summary="A channel of an example", responses=PICTURE)
async def example_channel(request: Request, name: str, channel: ChannelPath, full: Full = False) -> Response:
    """Return one channel of an example as a grey picture."""
    return await answer_channel(get_state(request), _view(name), channel, full)


@router.get("/examples/{name}/evidence/{location}", summary="Evidence for a location", responses=EVIDENCE)
async def example_evidence(request: Request, name: str, location: LocationPath) -> Response:
    """Return where in an example the evidence for a location is."""
    return await answer_evidence(get_state(request), _view(name), location)


@router.get("/examples/{name}/cells", response_model=CellsInfo, summary="The cells of an example")
async def example_cells(request: Request, name: str) -> Response:
    """Find and predict the cells of an example."""
    return await answer_cells(get_state(request), _view(name))


async def answer_channel(state: AppState, viewed: Viewed, channel: str, full: bool) -> Response:
    """Answer with a channel of a field."""
    data, media = await run_view(state, read_channel, viewed, channel, LARGE if full else SMALL)
    return Response(data, media_type=media)


async def answer_evidence(state: AppState, viewed: Viewed, location: int) -> Response:
    """Answer with the evidence for a location."""
    data = await run_view(state, read_evidence, state.model.predictor, viewed, location)
    return Response(data, media_type="image/png")


async def answer_cells(state: AppState, viewed: Viewed, probability: np.ndarray | None = None) -> Response:
    """Answer with the cells of a field."""
    data = await run_view(state, read_cells, state.model.predictor, viewed, probability)
    return Response(data, media_type="application/json")


async def run_view(
    state: AppState, make: Callable[Params, Result], *args: Params.args, **named: Params.kwargs
) -> Result:
    """Run what a page needs in its own thread.

    Raises:
        HTTPException: 409, it cannot be made of this field, or not here.
    """
    with state.views.reserve():
        try:
            return await state.views.run(make, *args, **named)
        except MissingExtraError as error:
            raise HTTPException(409, str(error)) from error
        except LociscopeError as error:  # its message may name a folder of this machine
            logger.warning("a picture was not made: %s", error)
            raise HTTPException(409, "This cannot be made of the field: its files cannot be read any more.") from error


def _view(name: str) -> Viewed:
    return Viewed(example_source(find_example(name)), None, name)
