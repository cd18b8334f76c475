"""The widget of the napari plugin: choose the layers of the channels, predict, and browse the table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels
from napari.qt.threading import create_worker
from napari.utils import DirectLabelColormap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from lociscope.channels import CHANNELS
from lociscope.errors import LociscopeError
from lociscope.napari_plugin.layers import (
    find_label,
    guess_channels,
    list_rows,
    make_cell_layer,
    make_fields,
    predict_layers,
)
from lociscope.predict.predictor import open_bundle

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from lociscope.images.field import Field
    from lociscope.napari_plugin.layers import LayerPredictions, TableRow
    from lociscope.predict.predictor import Predictor

COLUMNS = ("field, cell", "locations", "probability", "status")


class PredictWidget(QWidget):
    """Predicts the open layers; a table that is linked to the layer of cells.

    Args:
        napari_viewer: The viewer, which napari passes by this name.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.rows: list[TableRow] = []
        self.cells: Labels | None = None
        self._predictors: dict[str, Predictor] = {}
        self._build()
        for event in (self.viewer.layers.events.inserted, self.viewer.layers.events.removed):
            event.connect(self.list_layers)
        self.list_layers()

    def _build(self) -> None:
        form = QFormLayout()
        self.channels = {channel.name: QComboBox() for channel in CHANNELS}
        for channel in CHANNELS:
            form.addRow(f"{channel.name}: {channel.stain}", self.channels[channel.name])
        self.pixel_size = QDoubleSpinBox()
        self.pixel_size.setDecimals(4)
        self.pixel_size.setSuffix(" µm")
        self.pixel_size.setSpecialValueText("as the layers declare")
        form.addRow("pixel size", self.pixel_size)
        self.bundle = QLineEdit()
        self.bundle.setPlaceholderText("the bundle that ships with lociscope")
        form.addRow("bundle", self.bundle)
        choose = QPushButton("Choose a bundle…")
        choose.clicked.connect(self.choose_bundle)
        form.addRow("", choose)
        self.with_cells = QCheckBox("predict each cell")
        self.with_cells.setChecked(True)
        form.addRow("", self.with_cells)
        self.button = QPushButton("Predict")
        self.button.clicked.connect(self.predict)
        self.state = QLabel()
        self.state.setWordWrap(True)
        self.table = QTableWidget(0, len(COLUMNS))
        self.table.setHorizontalHeaderLabels(list(COLUMNS))
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.itemSelectionChanged.connect(self.show_selected)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        for part in (self.button, self.state, self.table):
            layout.addWidget(part)

    # === Layers ===

    def list_layers(self, event: object = None) -> None:
        """Offer the open image layers for each channel, and choose by their names."""
        images = [layer for layer in self.viewer.layers if isinstance(layer, Image)]
        guessed = guess_channels(images)
        for name, box in self.channels.items():
            before = box.currentData()
            box.clear()
            box.addItem("not imaged", None)
            for layer in images:
                box.addItem(layer.name, layer)
            chosen = before if any(before is layer for layer in images) else guessed.get(name)
            box.setCurrentIndex(next((at + 1 for at, layer in enumerate(images) if layer is chosen), 0))

    def choose_bundle(self) -> None:
        """Ask for the folder of a bundle."""
        folder = QFileDialog.getExistingDirectory(self, "Folder of a bundle")
        if folder:
            self.bundle.setText(folder)

    # === Prediction ===

    def predict(self) -> Any:  # noqa: ANN401 - napari's worker
        """Predict in a thread; return its worker, or None where the layers are not fields."""
        try:
            fields = make_fields(
                {name: box.currentData() for name, box in self.channels.items()}, self.pixel_size.value() or None
            )
        except LociscopeError as error:
            self.state.setText(str(error))
            return None
        self.button.setEnabled(False)
        self.state.setText(f"Predicting {len(fields)} {'field' if len(fields) == 1 else 'fields'} …")
        protein = self.channels["green"].currentData()
        scale = tuple(float(each) for each in protein.scale)
        worker = create_worker(self.compute, fields, self.bundle.text().strip(), self.with_cells.isChecked())
        worker.returned.connect(lambda made: self.show_predictions(made, scale))
        worker.finished.connect(lambda: self.button.setEnabled(True))
        worker.start()
        return worker

    def compute(self, fields: list[Field], bundle: str, cells: bool) -> LayerPredictions | str:
        """Predict fields; return the message of a bundle or a field that fails: a raised error would end napari."""
        try:
            if bundle not in self._predictors:
                self._predictors = {bundle: open_bundle(bundle or None)}
            return predict_layers(self._predictors[bundle], fields, cells=cells)
        except LociscopeError as error:
            return str(error)

    def show_predictions(self, made: LayerPredictions | str, scale: tuple[float, ...]) -> None:
        """Fill the table, and exchange the layer of cells; or show the message of an error."""
        if isinstance(made, str):
            self.state.setText(made)
            return
        if self.cells is not None and self.cells in self.viewer.layers:
            self.viewer.layers.remove(self.cells)
        self.cells = None
        if made.cells:
            data, options, _ = make_cell_layer(made, scale)
            colours = DirectLabelColormap(color_dict=options.pop("colours"))
            self.cells = self.viewer.add_labels(data, colormap=colours, opacity=0.5, **options)
            self.cells.mouse_drag_callbacks.append(self.select_clicked)
        self.rows = list_rows(made)
        self._fill_table()
        self.state.setText(self._summarize())

    def _summarize(self) -> str:
        cells = sum(row.label > 0 for row in self.rows)
        fields = len(self.rows) - cells
        warned = sum(bool(row.warnings) for row in self.rows)
        texts = [f"{fields} {'field' if fields == 1 else 'fields'}"]
        texts += [f"{cells} cells"] if self.cells is not None else []
        texts += [f"{warned} with warnings, which the table shows on its rows"] if warned else []
        return ", ".join(texts) + "."

    def _fill_table(self) -> None:
        self.table.setRowCount(0)
        self.table.setRowCount(len(self.rows))
        for at, row in enumerate(self.rows):
            name = f"    {row.name}" if row.label else row.name
            for column, text in enumerate((name, row.locations or "–", f"{row.probability:.3f}", row.status)):
                item = QTableWidgetItem(text)
                item.setToolTip(row.warnings or row.locations)
                self.table.setItem(at, column, item)
        self.table.resizeColumnsToContents()

    # === The table and the layers ===

    def show_selected(self) -> None:
        """Show the field or the cell of the selected row in the viewer."""
        at = self.table.currentRow()
        if not self.table.selectedItems() or at >= len(self.rows):
            return
        row, dims = self.rows[at], self.viewer.dims
        if dims.ndim > 2:
            dims.set_current_step(dims.ndim - 3, row.field)
        if self.cells is not None:
            self.cells.selected_label = row.label
        if row.centre is not None and self.cells is not None:
            side = self.cells.scale[-2:]
            camera = getattr(self.viewer, "scene", self.viewer).camera  # napari 0.9 moved it
            camera.center = (0.0, row.centre[0] * side[0], row.centre[1] * side[1])

    def select_clicked(self, layer: Labels, event: Any) -> None:  # noqa: ANN401 - napari's mouse event
        """Select the row of the cell that was clicked."""
        label = find_label(layer.data, layer.world_to_data(event.position)[-layer.data.ndim :])
        at = next((at for at, row in enumerate(self.rows) if label and row.label == label), None)
        if at is not None:
            self.table.selectRow(at)
