"""lociscope says where in the cell a protein is.

The names here are the Python interface: the artifacts, and one function for each command. Each is imported when it is
first used, so that `import lociscope` is light.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lociscope.artifacts.bundle import Bundle
    from lociscope.artifacts.catalog import Catalog
    from lociscope.artifacts.predictions import Predictions
    from lociscope.artifacts.recipe import Recipe
    from lociscope.artifacts.run import Run
    from lociscope.errors import LociscopeError
    from lociscope.images.field import Field
    from lociscope.predict.inputs import read_fields
    from lociscope.predict.predictor import Predictor, open_bundle
    from lociscope.simulate.field import simulate_field
    from lociscope.workflows.compare import compare_runs
    from lociscope.workflows.crossval import cross_validate
    from lociscope.workflows.ensemble import apply_ensemble, fit_ensemble
    from lociscope.workflows.evaluate import evaluate
    from lociscope.workflows.export import export_run
    from lociscope.workflows.import_fields import import_atlas, import_competition, import_folders, import_plates
    from lociscope.workflows.microscope import run_microscope
    from lociscope.workflows.monitor import check_drift
    from lociscope.workflows.predict import predict_files
    from lociscope.workflows.simulate import simulate_atlas
    from lociscope.workflows.split import split_catalogs
    from lociscope.workflows.train import train_run
    from lociscope.workflows.tune import tune_recipe
    from lociscope.workflows.watch import watch_folder

# The official builds of ONNX Runtime report to their maker which models they run, and keep an id in the home folder,
# unless this is set before they are imported. Nothing leaves the machine here; 0 allows it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__: str

_MODULES = {
    "artifacts.bundle": ("Bundle",),
    "artifacts.catalog": ("Catalog",),
    "artifacts.predictions": ("Predictions",),
    "artifacts.recipe": ("Recipe",),
    "artifacts.run": ("Run",),
    "errors": ("LociscopeError",),
    "images.field": ("Field",),
    "predict.inputs": ("read_fields",),
    "predict.predictor": ("Predictor", "open_bundle"),
    "simulate.field": ("simulate_field",),
    "workflows.compare": ("compare_runs",),
    "workflows.crossval": ("cross_validate",),
    "workflows.ensemble": ("apply_ensemble", "fit_ensemble"),
    "workflows.evaluate": ("evaluate",),
    "workflows.export": ("export_run",),
    "workflows.import_fields": ("import_atlas", "import_competition", "import_folders", "import_plates"),
    "workflows.microscope": ("run_microscope",),
    "workflows.monitor": ("check_drift",),
    "workflows.predict": ("predict_files",),
    "workflows.simulate": ("simulate_atlas",),
    "workflows.split": ("split_catalogs",),
    "workflows.train": ("train_run",),
    "workflows.tune": ("tune_recipe",),
    "workflows.watch": ("watch_folder",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Bundle",
    "Catalog",
    "Field",
    "LociscopeError",
    "Predictions",
    "Predictor",
    "Recipe",
    "Run",
    "__version__",
    "apply_ensemble",
    "check_drift",
    "compare_runs",
    "cross_validate",
    "evaluate",
    "export_run",
    "fit_ensemble",
    "import_atlas",
    "import_competition",
    "import_folders",
    "import_plates",
    "open_bundle",
    "predict_files",
    "read_fields",
    "run_microscope",
    "simulate_atlas",
    "simulate_field",
    "split_catalogs",
    "train_run",
    "tune_recipe",
    "watch_folder",
]


def __getattr__(name: str) -> object:
    """Import a name of the interface when it is first used; the version is the one that is installed."""
    if name == "__version__":
        from importlib.metadata import version

        return version("lociscope")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """Return the names of the interface."""
    return sorted({*globals(), *__all__})
