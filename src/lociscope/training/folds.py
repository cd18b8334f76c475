"""Out-of-fold Predictions: what each fold's network says of the fields that it did not see, in one table."""

from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from lociscope.decide.intervals import Interval, bootstrap
from lociscope.decide.metrics import lrap, macro_average_precision, macro_f1
from lociscope.decide.places import best_constant
from lociscope.errors import LociscopeError
from lociscope.labels import to_multi_hot
from lociscope.run import Run
from lociscope.storage import parse_model, replacing
from lociscope.training.record import keep_predictions

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = 1
FILE = "folds.json"


class Folds(BaseModel):
    """`folds.json`: what the folds in a folder are of."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_: int = Field(SCHEMA, alias="schema")
    k: int = Field(description="How many folds.")
    catalog: str | None = Field(description="sha256 of the Catalog; null where the fields are drawn.")


def claim_folds(folder: "Path", wanted: Folds) -> list[Run]:
    """Makes the folder of the folds, or checks that what is there are the same.

    A claim of which no fold has begun, as a refused one leaves, is no hindrance.

    Returns:
        The Runs of the folds, begun or not.

    Raises:
        LociscopeError: The folder holds other folds, or something else.
    """
    path = folder / FILE
    found = parse_model(path.read_bytes(), Folds, SCHEMA, f"'{path}'") if path.is_file() else None
    if found is not None:
        begun = any((folder / f"fold{number}").exists() for number in range(found.k))
        if begun and found != wanted:
            what = f"{found.k} folds" if found.k != wanted.k else "folds of other fields"
            raise LociscopeError(f"'{folder}' holds {what}. Name another folder with -o.")
    elif folder.exists() and any(each.name[0] != "." for each in folder.iterdir()):
        raise LociscopeError(f"'{folder}' exists and holds no folds. Name another folder with -o.")
    if found != wanted:
        with replacing(path) as part:
            part.write_text(wanted.model_dump_json(by_alias=True) + "\n", encoding="utf-8")
    return [Run(folder / f"fold{number}") for number in range(wanted.k)]


def join_folds(folder: "Path", runs: list[Run]) -> dict[str, Interval]:
    """Writes the out-of-fold `predictions.parquet`, `truth.csv` and `groups.csv` of finished folds.

    Embeddings are left out: those of two networks cannot be compared.

    Args:
        folder: Holds the folds.
        runs: The folds.

    Returns:
        Macro-F1 at the one threshold whose errors cost least on these fields, macro-AP and LRAP of them all, by name,
        with 90 % intervals by group.
    """
    predictions = [run.predictions() for run in runs]
    ids = [name for each in predictions for name in each.ids]
    probability = np.concatenate([each.probability for each in predictions])
    known = {name: target for run in runs for name, target in run.truth().items()}
    group = {name: found for run in runs for name, found in run.groups().items()}
    truth, groups = to_multi_hot([known[name] for name in ids]), [group.get(name, name) for name in ids]
    keep_predictions(Run(folder), ids, groups, truth, probability)
    decided = probability >= np.float32(best_constant(truth, probability))
    names = np.asarray(groups)
    return {
        "macro-F1": bootstrap(macro_f1, truth, decided, groups=names, level=0.9),
        "macro-AP": bootstrap(macro_average_precision, truth, probability, groups=names, level=0.9),
        "LRAP": bootstrap(lrap, truth, probability, groups=names, level=0.9),
    }
