"""A field is read with its cells, or is a failure."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lociscope.artifacts.card import InputSpec
from lociscope.errors import Code, LociscopeError
from lociscope.images.discovery.field_source import Failure
from lociscope.images.discovery.sources import find_fields
from lociscope.images.segmentation.label_images import LabelPattern
from lociscope.predict import cell_source
from lociscope.predict.cell_source import SegmentedField, load_cells

if TYPE_CHECKING:
    from pathlib import Path

SPEC = InputSpec(height=16, width=16, low=0.5, high=99.9)
WriteField = Callable[..., "Path"]


def test_labels_of_another_program_are_those_of_the_field(write_field: WriteField, tmp_path: Path) -> None:
    (source,), _ = find_fields(write_field("a1", size=32))
    labels = np.zeros((32, 32), np.uint8)
    labels[3:9, 4:20] = 7
    np.save(tmp_path / "a1.npy", labels)
    found = load_cells(source, SPEC, LabelPattern(f"{tmp_path}/{{id}}.npy"))
    assert isinstance(found, SegmentedField)
    np.testing.assert_array_equal(found.labels, labels)
    assert found.nuclei is None
    assert found.scaled.shape == (16, 16, 4)
    assert found.geometry.area.tolist() == pytest.approx([96 * (164 / 32) ** 2])


def test_what_cannot_be_read_is_a_failure(write_field: WriteField, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_field("a1", size=32)
    (source,), _ = find_fields(folder)
    (folder / "a1_red.png").write_text("no picture")
    broken = load_cells(source, SPEC, None)
    assert isinstance(broken, Failure)
    assert (broken.id, broken.code) == ("a1", Code.WRONG_FILE)
    monkeypatch.setattr(cell_source, "read_field", lambda _: (_ for _ in ()).throw(MemoryError))
    large = load_cells(source, SPEC, None)
    assert isinstance(large, Failure)
    assert large.code == Code.OUT_OF_MEMORY


def test_a_missing_library_ends_the_work(write_field: WriteField, monkeypatch: pytest.MonkeyPatch) -> None:
    (source,), _ = find_fields(write_field("a1", size=32))
    monkeypatch.setitem(sys.modules, "skimage.segmentation", None)
    with pytest.raises(LociscopeError) as caught:
        load_cells(source, SPEC, None)
    assert caught.value.code is Code.MISSING_EXTRA
    assert "lociscope[cells]" in str(caught.value)
