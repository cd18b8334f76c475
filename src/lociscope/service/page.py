"""Pages: templates filled with what every page shows, the model that answers and its limits."""

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
    """Fills a template of `service/templates`; every value is escaped.

    Args:
        template: Its file name.
        request: What is answered: the model that is served now goes onto every page.
        values: What the template names besides; a name that is missing is an error.

    Returns:
        The page.
    """
    state = get_state(request)
    everywhere = {
        "about": BundleInfo.from_bundle(state.model.predictor.bundle),
        "examples": examples(),
        "max_bytes": state.settings.max_bytes,
        "max_files": MAX_FILES,
        "address": str(request.base_url).rstrip("/"),
        "keyed": bool(state.settings.api_key),
        "version": version("lociscope"),
        "root": relative_root(request),
    }
    return _environment().get_template(template).render(everywhere | values)


def relative_root(request: Request) -> str:
    """Return the link from the page that answers a request to the first page, with a slash at its end.

    It is relative where no root path is known: so it is right behind a proxy that strips a prefix, which need not be
    told nor believed.
    """
    scope = request.scope
    if root := scope.get("app_root_path", scope.get("root_path", "")):
        return f"{root}/"
    sent = scope.get("raw_path") or scope["path"].encode()
    return "../" * (sent.count(b"/") - 1) or "./"


_environment = lru_cache(maxsize=1)(partial(environment, "lociscope.service"))
