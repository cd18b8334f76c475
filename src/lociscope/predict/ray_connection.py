"""The connection to a Ray cluster that runs, or that starts on this machine and ends with the command."""

from __future__ import annotations

import logging
import os
import socket
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lociscope.errors import Code, LociscopeError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator

RETRIES = 2
"""How often Ray repeats a task whose worker was killed, before its fields are tried one by one."""

ANSWER_SECONDS = 10
"""How long a machine may take to answer at an address."""


def check_installed() -> None:
    """Raise a MissingExtraError unless Ray Data is installed."""
    if find_spec("ray") is None or find_spec("ray.data") is None:
        raise MissingExtraError("`engine=ray`", "cluster")


@contextmanager
def connect(address: str | None) -> Iterator[None]:
    """Connect to a cluster, or start one on this machine; a connection of the caller is used, and stays.

    Raises:
        MissingExtraError: Ray is not installed.
        LociscopeError: No cluster answers at the address.
    """
    check_installed()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report its use to the maker of Ray
    import ray

    if ray.is_initialized():
        yield
        return
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address is None:
            ray.init("local", include_dashboard=False, _system_config={"task_oom_retries": RETRIES}, **quiet)
        else:
            _check_answer(address)
            ray.init(address, **quiet)
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        raise LociscopeError(
            f"`ray_address={address}`: no Ray cluster answers ({get_first_line(error)}). Start one with `ray start "
            "--head`, or omit the address to start one on this machine.",
            code=Code.UNAVAILABLE,
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _check_answer(address: str) -> None:
    """Raise an OSError or a ValueError if nothing listens at `host:port`, for which Ray would wait for minutes."""
    parts = urlsplit(address if "://" in address else f"//{address}")
    if parts.hostname and parts.port:
        socket.create_connection((parts.hostname, parts.port), ANSWER_SECONDS).close()


@contextmanager
def silence_data() -> Iterator[None]:
    """Keep Ray Data from printing, and let it continue after tasks that fail."""
    from ray.data import DataContext

    context = DataContext.get_current()
    wanted = {"enable_progress_bars": False, "max_errored_blocks": -1, "print_on_execution_start": False}
    before = {name: getattr(context, name) for name in wanted}
    logger = logging.getLogger("ray.data")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        for name, value in wanted.items():
            setattr(context, name, value)
        yield
    finally:
        logger.setLevel(level)
        for name, value in before.items():
            setattr(context, name, value)


def count_cluster_cores() -> int:
    """Return the number of cores of the cluster."""
    import ray

    return max(1, int(ray.cluster_resources().get("CPU", 1)))


def get_first_line(error: Exception) -> str:
    """Return the type of an error and the first line of its text."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}{f': {lines[0][:200]}' if lines else ''}"
