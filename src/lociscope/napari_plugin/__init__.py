"""The napari plugin: `napari.yaml` lists what napari calls; only `widget` needs napari and Qt.

`reader` opens fields as layers, `layers` makes fields of layers, and layers and table rows of predictions; both are
plain functions on arrays. `widget` shows them.
"""
