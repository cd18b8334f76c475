"""The page that describes the interface, made from its OpenAPI description without scripts or external files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple


class Parameter(NamedTuple):
    """A parameter of a request, or a value of an answer."""

    name: str
    kind: str
    meaning: str


class Address(NamedTuple):
    """A method of a path."""

    method: str
    path: str
    summary: str
    text: str
    parameters: list[Parameter]
    answers: list[tuple[str, str]]


def describe_interface(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the values of the template `docs.html`.

    Args:
        schema: The result of `FastAPI.openapi()`.

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
        yield Parameter(name, _type_name(about), about.get("description", ""))


def _type_name(about: dict[str, Any]) -> str:
    if about.get("type") == "array":
        return f"list of {_type_name(about['items'])}"
    if about.get("format") == "binary":
        return "file"
    return str(about.get("type", "object"))
