"""Write the images of a run: as fields of one OME-Zarr plate, or each as an OME-TIFF."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from lociscope.images.io.write import write_ome_tiff, write_ome_zarr
from lociscope.images.io.zarr_plate import find_well_path, write_plate, write_well
from lociscope.microscope.positions import expand_wells
from lociscope.predict.cell_masks import write_labelled_field, write_masks

if TYPE_CHECKING:
    from lociscope.images.field import Field
    from lociscope.microscope.facts import FieldCells
    from lociscope.microscope.journal import Journal
    from lociscope.microscope.plan import Plan
    from lociscope.microscope.positions import Position

PLATE = "plate.ome.zarr"
"""The plate in the output folder."""


class ImageWriter:
    """Writes the image of each field before its line of `decisions.jsonl`.

    An image of the plate that no line names was written by a call that was killed; the next field of the well
    replaces it.

    Args:
        plan: The plan.
        journal: The output folder.
    """

    def __init__(self, plan: Plan, journal: Journal) -> None:
        self._plan = plan
        self._folder = journal.folder
        self._objectives = [each.name for each in plan.objectives]
        self._wells: dict[str, dict[str, int]] = {}
        for line in journal.lines:
            path = PurePosixPath(line.get("image", ""))
            if path.parts[:1] == (PLATE,):
                self._wells.setdefault(line["well"], {})[path.name] = self._objectives.index(line["objective"])

    def write(self, field: Field, position: Position, cells: FieldCells | None) -> str:
        """Write a field, with the labels of its cells if they are given.

        Returns:
            Its path, relative to the output folder.

        Raises:
            LociscopeError: A file cannot be written.
        """
        if self._plan.images == "ome-zarr":
            return self._add_to_plate(field, position, cells)
        path = f"fields/{field.id}.ome.tif"
        write_ome_tiff(self._folder / path, field)
        if cells is not None:
            write_masks(cells.segmented, cells.predicted, self._folder / "labels", ["tiff"])
        return path

    def _add_to_plate(self, field: Field, position: Position, cells: FieldCells | None) -> str:
        root, well = self._folder / PLATE, position.well
        known = self._wells.get(well, {})
        name = str(max(map(int, known), default=0) + 1)
        path = f"{find_well_path(well)}/{name}"
        if cells is None:
            write_ome_zarr(root / path, field)
        else:
            write_labelled_field(root / path, cells.segmented, cells.predicted)
        images = known | {name: self._objectives.index(position.objective)}
        write_well(root, well, images)
        if not known:
            plate = self._plan.plate
            write_plate(root, plate.name, expand_wells(plate), [*self._wells, well], self._objectives)
        self._wells[well] = images
        return f"{PLATE}/{path}"
