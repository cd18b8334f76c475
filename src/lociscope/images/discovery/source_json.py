"""The files of a field as text, for databases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lociscope.images.discovery.field_source import FieldSource
from lociscope.images.io.container import PlaneRef


def source_to_json(source: FieldSource, folder: Path | None = None) -> str:
    """Return a field as text, with paths relative to a folder, or absolute without one."""

    def ref(each: PlaneRef | None) -> list[str] | None:
        if each is None:
            return None
        file = each.file.absolute() if folder is None else each.file.relative_to(folder)
        return [str(file), each.member, each.channel]

    return json.dumps(
        {
            "id": source.id,
            "planes": [ref(each) for each in source.planes],
            "loose": [ref(each) for each in source.loose],
            "pixel_size": source.pixel_size,
            "plane": source.plane,
            "allow_missing": list(source.allow_missing),
            "about": [list(each) for each in source.about],
        }
    )


def source_from_json(text: str, folder: Path | None = None) -> FieldSource:
    """Return the field that `source_to_json` wrote, with the same folder."""
    values: dict[str, Any] = json.loads(text)

    def ref(each: list[str] | None) -> PlaneRef | None:
        return None if each is None else PlaneRef((folder or Path()) / each[0], each[1], each[2])

    loose = tuple(each for each in map(ref, values["loose"]) if each is not None)
    return FieldSource(
        values["id"],
        tuple(map(ref, values["planes"])),
        values["pixel_size"],
        values["plane"],
        tuple(values["allow_missing"]),
        loose,
        tuple((name, value) for name, value in values["about"]),
    )
