"""The interface for a reader, from its own OpenAPI description: no script, and nothing fetched from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple


class Parameter(NamedTuple):
    """What a request may carry, or an answer holds."""

    name: str
    kind: str
    meaning: str


class Address(NamedTuple):
    """One method of one path."""

    method: str
    path: str
    summary: str
    text: str
    parameters: list[Parameter]
    answers: list[tuple[str, str]]


def reference(schema: dict[str, Any]) -> dict[str, Any]:
    """What `docs.html` shows.

    Args:
        schema: As `FastAPI.openapi()` gives it.

    Returns:
        `addresses` and the fields of an `answer`.
    """
    answer = schema["components"]["schemas"]["Answer"]
    return {"addresses": list(_addresses(schema["paths"])), "answer": list(_parameters(answer["properties"]))}


def _addresses(paths: dict[str, Any]) -> Iterator[Address]:
    for path, methods in paths.items():
        for method, about in methods.items():
            body = about.get("requestBody", {}).get("content", {}).get("multipart/form-data", {}).get("schema", {})
            given = {each["name"]: {**each["schema"], **each} for each in about.get("parameters", [])}
            parameters = [*_parameters(given), *_parameters(body.get("properties", {}))]
            answers = [(code, each["description"]) for code, each in sorted(about["responses"].items())]
            described = [
                (code, text) for code, text in answers if text not in ("Successful Response", "Validation Error")
            ]
            yield Address(
                method.upper(), path, about.get("summary", ""), about.get("description", ""), parameters, described
            )


def _parameters(properties: dict[str, Any]) -> Iterator[Parameter]:
    for name, about in properties.items():
        yield Parameter(name, _kind(about), about.get("description", ""))


def _kind(about: dict[str, Any]) -> str:
    if about.get("type") == "array":
        return f"list of {_kind(about['items'])}"
    if about.get("format") == "binary":
        return "file"
    return str(about.get("type", "object"))
