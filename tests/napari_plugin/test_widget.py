"""The widget, headless, in a viewer without a window; and what npe2 reads of the manifest."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
with warnings.catch_warnings():  # napari's own, of its libraries
    warnings.simplefilter("ignore")
    pytest.importorskip("napari", reason="the extra 'napari' is not installed")
    try:
        from napari.components import ViewerModel
        from npe2 import PluginManager, PluginManifest
        from qtpy.QtCore import QEventLoop, QTimer
        from qtpy.QtWidgets import QApplication

        from lociscope.napari_plugin.widget import PredictWidget
    except Exception as error:
        pytest.skip(f"Qt does not start here: {error}", allow_module_level=True)

from lociscope.labels import LABELS
from lociscope.napari_plugin.reader import make_sample

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning", "default::FutureWarning")


@pytest.fixture(scope="session")
def application() -> QApplication:
    return QApplication.instance() or QApplication([])


@pytest.fixture
def widget(application: QApplication) -> Iterator[PredictWidget]:
    viewer = ViewerModel()
    for data, options, _ in make_sample():
        viewer.add_image(data, **options)
    made = PredictWidget(viewer)
    yield made
    made.deleteLater()


def run(widget: PredictWidget) -> None:
    """Press the button, and wait until the worker is done."""
    worker = widget.predict()
    loop = QEventLoop()
    worker.finished.connect(loop.quit)
    QTimer.singleShot(120_000, loop.quit)
    loop.exec()
    QApplication.processEvents()
    assert widget.button.isEnabled()


def test_the_manifest_is_valid_and_its_commands_exist() -> None:
    manifest = PluginManifest.from_distribution("lociscope")
    manifest.validate_imports()
    assert manifest.contributions.readers and manifest.contributions.widgets


def test_napari_reads_a_field_through_the_plugin(write_field: Any, tmp_path: Path) -> None:
    from npe2 import read_get_reader

    PluginManager.instance().discover()
    folder = str(write_field("a1"))
    layers, reader = read_get_reader([folder], plugin_name="lociscope", stack=False)
    assert [options["colormap"] for _, options, _ in layers] == ["red", "green", "blue", "yellow"]
    assert reader.command == "lociscope.read"


def test_channels_are_chosen_by_name_and_kept(widget: PredictWidget) -> None:
    chosen = {name: box.currentText() for name, box in widget.channels.items()}
    assert chosen["green"] == "simulated · protein" and chosen["yellow"] == "simulated · endoplasmic reticulum"
    widget.channels["yellow"].setCurrentIndex(0)
    red = widget.channels["red"].currentData()
    widget.viewer.add_image(np.zeros((4, 4)), name="DAPI")
    assert widget.channels["red"].currentData() is red
    assert widget.channels["blue"].currentText() == "simulated · nucleus"
    widget.viewer.layers.remove(red)
    assert widget.channels["red"].currentText() == "not imaged"


def test_the_open_layers_are_predicted(widget: PredictWidget) -> None:
    run(widget)
    assert widget.cells is not None and widget.cells in widget.viewer.layers
    assert widget.table.rowCount() == len(widget.rows) == 1 + len(np.unique(widget.cells.data)) - 1
    assert widget.table.item(0, 1).text() in {*LABELS, widget.rows[0].locations}
    assert f"{len(widget.rows) - 1} cells" in widget.state.text()
    assert tuple(widget.cells.scale) == tuple(widget.viewer.layers[0].scale)
    first = widget.rows[1]
    assert widget.cells.get_color(first.label) is not None
    run(widget)
    assert sum(layer.name.startswith("cells") for layer in widget.viewer.layers) == 1


def test_the_table_and_the_layer_are_linked(widget: PredictWidget) -> None:
    run(widget)
    row = widget.rows[2]
    assert row.centre is not None and widget.cells is not None
    widget.table.selectRow(2)
    assert widget.cells.selected_label == row.label
    side = widget.cells.scale[-1]
    camera = getattr(widget.viewer, "scene", widget.viewer).camera
    assert camera.center[1:] == pytest.approx((row.centre[0] * side, row.centre[1] * side))

    inside = np.argwhere(widget.cells.data == widget.rows[4].label)[0]

    class Click:
        position = tuple(side * each for each in inside)

    widget.select_clicked(widget.cells, Click())
    assert widget.table.currentRow() == 4
    Click.position = (-5.0, -5.0)
    widget.select_clicked(widget.cells, Click())
    assert widget.table.currentRow() == 4


def test_a_row_of_a_stack_shows_its_field(application: QApplication) -> None:
    viewer = ViewerModel()
    for data, options, _ in make_sample():
        viewer.add_image(np.stack([data, data]), name=options["name"])
    widget = PredictWidget(viewer)
    widget.with_cells.setChecked(False)
    run(widget)
    assert widget.cells is None and widget.table.rowCount() == 2
    widget.table.selectRow(1)
    assert viewer.dims.current_step[0] == 1


def test_errors_are_shown_in_the_widget(widget: PredictWidget, tmp_path: Path) -> None:
    widget.bundle.setText(str(tmp_path / "none"))
    run(widget)
    assert "none" in widget.state.text() and widget.table.rowCount() == 0
    widget.channels["green"].setCurrentIndex(0)
    assert widget.predict() is None
    assert "protein" in widget.state.text()
