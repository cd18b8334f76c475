"""Render the pages, each with the model in use and its limitations."""

from __future__ import annotations

from functools import lru_cache, partial
from importlib.metadata import version
from typing import TYPE_CHECKING

from lociscope.report.page import environment
from lociscope.service.answer import BundleInfo
from lociscope.service.examples import examples
from lociscope.service.state import get_state
from lociscope.service.uploads import MAX_FILES

if TYPE_CHECKING:
    from starlette.requests import Request


def render(template: str, request: Request, **values: object) -> str:
    """Return a page of `service/templates`; every value is escaped.

    Args:
        template: Its file name.
        request: The request, whose application knows the model.
        values: Other values of the template; a missing name is an error.

    Returns:
        The page.
    """
    state = get_state(request)
    common = {
        "about": BundleInfo.from_bundle(state.model.predictor.bundle),
        "examples": examples(),
        "has_jobs": state.jobs is not None,
        "has_review": state.review is not None,
        "has_candidate": state.candidate is not None,
        "accepts_fields": state.board is None,
        "keep_days": state.settings.keep_days,
        "max_bytes": state.settings.max_bytes if state.jobs is None else state.settings.max_job_bytes,
        "max_files": MAX_FILES if state.jobs is None else state.settings.max_job_files,
        "max_fields": 1 if state.jobs is None else state.settings.max_job_fields,
        "lists_jobs": state.jobs is not None
        and (state.settings.is_private or bool(request.scope.get("lociscope.owner"))),
        "address": str(request.base_url).rstrip("/"),
        "keyed": bool(state.settings.api_key) or bool(request.scope.get("lociscope.owner")),
        "version": version("lociscope"),
        "root": relative_root(request),
        "text_only": False,
        "size": describe_size,
    }
    return _environment().get_template(template).render(common | values)


def describe_size(number: int) -> str:
    """Return a number of bytes for readers, such as `64 MB`."""
    return f"{number / (1 << 30):.3g} GB" if number >= 1 << 30 else f"{number / (1 << 20):.3g} MB"


def relative_root(request: Request) -> str:
    """Return the link from the page that answers a request to the first page, with a slash at its end.

    Without a known root path it is relative, and therefore also right behind a proxy that strips a prefix.
    """
    scope = request.scope
    if root := scope.get("app_root_path", scope.get("root_path", "")):
        return f"{root}/"
    sent = scope.get("raw_path") or scope["path"].encode()
    return "../" * (sent.count(b"/") - 1) or "./"


_environment = lru_cache(maxsize=1)(partial(environment, "lociscope.service"))
