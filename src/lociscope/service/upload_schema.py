"""What OpenAPI says of forms with files, and of the errors that uploads share."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

FIELD_TEXTS = {
    "pixel_size": ("number", "Side of a pixel, µm."),
    "channels": ("string", "Names of the channels in the files: red=…"),
    "allow_missing": ("string", "An optional channel: yellow."),
    "plane": ("integer", "The slice of a stack, from 0."),
}
"""Texts of a form that say how files are read: their type and their meaning."""


class Error(BaseModel):
    """Why a request was refused."""

    model_config = ConfigDict(frozen=True)

    error: str = Field(description="What is wrong, what was received, and what to do: for people, and may change.")
    code: str = Field(description="What kind of error it is: for programs, and stable, such as missing-channel.")


UPLOAD_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": Error, "description": "The request has no form, or one that cannot be read."},
    408: {"model": Error, "description": "The upload is too slow."},
    413: {"model": Error, "description": "The request is larger than the service accepts."},
    422: {"model": Error, "description": "No field, too many, or one that cannot be read."},
    503: {"model": Error, "description": "Busy or stopping; try again after Retry-After seconds."},
    507: {"model": Error, "description": "The files cannot be stored: a disk is full or cannot be written."},
}


def describe_upload(files: str, texts: dict[str, tuple[str, str]]) -> dict[str, Any]:
    """Return the description of a form with files, for `openapi_extra`.

    Args:
        files: What the files are.
        texts: Type and meaning of each text of the form.
    """
    many = {"type": "array", "items": {"type": "string", "format": "binary"}, "description": files}
    properties = {"files": many} | {name: {"type": kind, "description": text} for name, (kind, text) in texts.items()}
    schema = {"type": "object", "required": ["files"], "properties": properties}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}
