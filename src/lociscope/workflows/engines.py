"""Engines of a batch: threads of this process, or a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lociscope.errors import Code, UsageError, suggest
from lociscope.predict.loading import predict_sources
from lociscope.storage.remote import RemotePath

if TYPE_CHECKING:
    from pathlib import Path

    from lociscope.predict.loading import BatchEngine

LOCAL, RAY = "local", "ray"
ENGINES = (LOCAL, RAY)
"""Names of the engines."""


def choose_engine(name: str, ray_address: str | None = None) -> BatchEngine:
    """Return an engine by its name.

    Args:
        name: One of `ENGINES`.
        ray_address: The address of a running Ray cluster; None starts one on this machine.

    Raises:
        UsageError: The engine is unknown, or an address is given for another than `ray`.
        MissingExtraError: Ray is not installed.
    """
    if name not in ENGINES:
        raise UsageError(f"`engine={name}` is unknown.{suggest(name, ENGINES)}", code=Code.UNKNOWN_NAME)
    if name == LOCAL:
        if ray_address is not None:
            raise UsageError(
                f"`ray_address={ray_address}` needs `engine=ray`. Pass both, or neither.", code=Code.INVALID_VALUE
            )
        return predict_sources
    from lociscope.predict.ray_connection import check_installed
    from lociscope.predict.ray_engine import RayCluster

    check_installed()
    return RayCluster(ray_address)


def check_local(output: Path, engine: str, *, cells: bool, explain: bool) -> None:
    """Refuse cells and explanations of a cluster or for an output behind a URL.

    Raises:
        UsageError: They were asked for.
    """
    if (cells or explain) and (engine != LOCAL or isinstance(output, RemotePath)):
        raise UsageError(
            f"`{'cells' if cells else 'explain'}` needs `engine=local` and a local `output`. Predict the fields first, "
            "and these in a second call.",
            code=Code.INVALID_VALUE,
        )
