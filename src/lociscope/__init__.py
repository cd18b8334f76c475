"""lociscope says where in the cell a protein is.

The names here are the Python interface: the artifacts, and one function for each command. Each is imported when it is
first used, so that `import lociscope` is light.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # `as` makes a name public for type checkers
    from lociscope.artifacts.bundle import Bundle as Bundle
    from lociscope.artifacts.catalog import Catalog as Catalog
    from lociscope.artifacts.predictions import Predictions as Predictions
    from lociscope.artifacts.recipe import Recipe as Recipe
    from lociscope.artifacts.run import Run as Run
    from lociscope.errors import LociscopeError as LociscopeError
    from lociscope.images.field import Field as Field
    from lociscope.predict.inputs import read_fields as read_fields
    from lociscope.predict.predictor import Predictor as Predictor
    from lociscope.predict.predictor import open_bundle as open_bundle
    from lociscope.simulate.field import simulate_field as simulate_field
    from lociscope.workflows.arrays import load_arrays as load_arrays
    from lociscope.workflows.arrays import simulate_arrays as simulate_arrays
    from lociscope.workflows.card import write_cards as write_cards
    from lociscope.workflows.compare import compare_runs as compare_runs
    from lociscope.workflows.crossval import cross_validate as cross_validate
    from lociscope.workflows.ensemble import apply_ensemble as apply_ensemble
    from lociscope.workflows.ensemble import fit_ensemble as fit_ensemble
    from lociscope.workflows.evaluate import evaluate as evaluate
    from lociscope.workflows.explore import explore as explore
    from lociscope.workflows.export import export_run as export_run
    from lociscope.workflows.export_ensemble import export_ensemble as export_ensemble
    from lociscope.workflows.fetch_model import fetch_model as fetch_model
    from lociscope.workflows.import_fields import import_atlas as import_atlas
    from lociscope.workflows.import_fields import import_competition as import_competition
    from lociscope.workflows.import_fields import import_folders as import_folders
    from lociscope.workflows.import_fields import import_plates as import_plates
    from lociscope.workflows.import_model import ModelFormat as ModelFormat
    from lociscope.workflows.import_model import bundle_from_keras as bundle_from_keras
    from lociscope.workflows.import_model import bundle_from_onnx as bundle_from_onnx
    from lociscope.workflows.map import map_predictions as map_predictions
    from lociscope.workflows.microscope import run_microscope as run_microscope
    from lociscope.workflows.monitor import check_drift as check_drift
    from lociscope.workflows.out_of_distribution import fit_out_of_distribution as fit_out_of_distribution
    from lociscope.workflows.predict import predict_files as predict_files
    from lociscope.workflows.report import report_predictions as report_predictions
    from lociscope.workflows.retrain import retrain as retrain
    from lociscope.workflows.share import convert_predictions as convert_predictions
    from lociscope.workflows.share import summarize_predictions as summarize_predictions
    from lociscope.workflows.similar import find_similar_fields as find_similar_fields
    from lociscope.workflows.simulate import simulate_atlas as simulate_atlas
    from lociscope.workflows.split import split_catalogs as split_catalogs
    from lociscope.workflows.train import train_run as train_run
    from lociscope.workflows.tune import tune_recipe as tune_recipe
    from lociscope.workflows.watch import watch_folder as watch_folder

# The official builds of ONNX Runtime report to their maker which models they run, and keep an id in the home folder,
# unless this is set before they are imported. Nothing leaves the machine here; 0 allows it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__: str

_MODULES = {
    "Bundle": "artifacts.bundle",
    "Catalog": "artifacts.catalog",
    "Field": "images.field",
    "LociscopeError": "errors",
    "ModelFormat": "workflows.import_model",
    "Predictions": "artifacts.predictions",
    "Predictor": "predict.predictor",
    "Recipe": "artifacts.recipe",
    "Run": "artifacts.run",
    "apply_ensemble": "workflows.ensemble",
    "bundle_from_keras": "workflows.import_model",
    "bundle_from_onnx": "workflows.import_model",
    "check_drift": "workflows.monitor",
    "compare_runs": "workflows.compare",
    "convert_predictions": "workflows.share",
    "cross_validate": "workflows.crossval",
    "evaluate": "workflows.evaluate",
    "explore": "workflows.explore",
    "export_ensemble": "workflows.export_ensemble",
    "export_run": "workflows.export",
    "fetch_model": "workflows.fetch_model",
    "find_similar_fields": "workflows.similar",
    "fit_ensemble": "workflows.ensemble",
    "fit_out_of_distribution": "workflows.out_of_distribution",
    "import_atlas": "workflows.import_fields",
    "import_competition": "workflows.import_fields",
    "import_folders": "workflows.import_fields",
    "import_plates": "workflows.import_fields",
    "load_arrays": "workflows.arrays",
    "map_predictions": "workflows.map",
    "open_bundle": "predict.predictor",
    "predict_files": "workflows.predict",
    "read_fields": "predict.inputs",
    "report_predictions": "workflows.report",
    "retrain": "workflows.retrain",
    "run_microscope": "workflows.microscope",
    "simulate_arrays": "workflows.arrays",
    "simulate_atlas": "workflows.simulate",
    "simulate_field": "simulate.field",
    "split_catalogs": "workflows.split",
    "summarize_predictions": "workflows.share",
    "train_run": "workflows.train",
    "tune_recipe": "workflows.tune",
    "watch_folder": "workflows.watch",
    "write_cards": "workflows.card",
}
"""The module of each name; the imports above say the same to type checkers."""

if not TYPE_CHECKING:
    __all__ = ["__version__", *_MODULES]

    def __getattr__(name: str) -> object:
        """Import a name of the interface when it is first used; the version is the one that is installed."""
        if name == "__version__":
            from importlib.metadata import version

            return version("lociscope")
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    """Return the names of the interface."""
    return sorted({*globals(), "__version__", *_MODULES})
