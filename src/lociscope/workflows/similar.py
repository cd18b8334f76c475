"""Find the fields of a table of Predictions that are similar to one field."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lociscope.artifacts.origin import read_origin
from lociscope.artifacts.predictions import Predictions
from lociscope.errors import Code, LociscopeError, UsageError
from lociscope.images.discovery.naming import DEFAULT_RULES, Rules
from lociscope.images.discovery.sources import find_fields
from lociscope.images.io.read import read_field
from lociscope.predict.predictor import open_bundle
from lociscope.predict.similar import Neighbour, find_similar, get_embeddings
from lociscope.storage.paths import as_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np

    from lociscope.storage.paths import AnyPath


def find_similar_fields(
    field: str | Sequence[AnyPath],
    among: AnyPath,
    *,
    number: int = 10,
    bundle: AnyPath | None = None,
    rules: Rules = DEFAULT_RULES,
) -> list[Neighbour]:
    """Return the fields of a table of Predictions that are most similar to one field.

    Args:
        field: The id of a field of the table, or the paths of one field: its files, a folder, a stack.
        among: Predictions with embeddings, `.parquet`.
        number: Most fields to return, 1 or more.
        bundle: The bundle that made `among`, which predicts a field given by its paths; None is the one that ships with
            lociscope.
        rules: How file names are parsed.

    Returns:
        The most similar first, without the field itself.

    Raises:
        UsageError: `number` is less than 1.
        LociscopeError: The table has no embeddings or another bundle made it, or `field` is neither an id of the table
            nor one field that can be read.
    """
    if number < 1:
        raise UsageError(f"{number} similar fields were asked for; expected 1 or more.", code=Code.INVALID_VALUE)
    among = as_path(among)
    table = Predictions.read(among)
    rows = get_embeddings(table)
    paths = [field] if isinstance(field, str) else list(map(as_path, field))
    if len(paths) == 1 and (name := str(paths[0])) in table.ids:
        row = table.ids.index(name)
        others = table.take([other for other in range(len(table)) if other != row])
        return find_similar(rows[row], others, number)
    identifier, embedding = _predict_one([as_path(path) for path in paths], among, bundle, rules)
    others = table.take([row for row, name in enumerate(table.ids) if name != identifier])
    return find_similar(embedding, others, number)


def _predict_one(paths: list[Path], among: Path, bundle: AnyPath | None, rules: Rules) -> tuple[str, np.ndarray]:
    """Return the id and the embedding of the field that the paths contain."""
    if not any(path.exists() for path in paths):
        raise LociscopeError(
            f"'{paths[0]}' is neither a file nor the id of a field in '{among}'. Pass one of its ids, or the files "
            "of a field.",
            code=Code.NOT_FOUND,
        )
    found, failures = find_fields(paths, rules)
    if failures:
        raise LociscopeError(failures[0].reason, code=Code(failures[0].code or Code.UNREADABLE))
    if len(found) != 1:
        raise LociscopeError(
            f"The paths contain {len(found)} fields ({found[0].id}, {found[1].id} …), expected one. Pass the files of "
            "one field.",
            code=Code.INVALID_VALUE,
        )
    predictor = open_bundle(as_path(bundle))
    made_by = read_origin(among).get("bundle")
    if made_by is not None and made_by != predictor.bundle.sha256:
        raise LociscopeError(
            f"'{among}' was made by another bundle ({made_by[:12]}…) than '{predictor.bundle.folder}' "
            f"({predictor.bundle.sha256[:12]}…), whose embeddings cannot be compared. Pass the bundle that made it.",
            code=Code.CONFLICT,
        )
    predictions = predictor.predict(read_field(found[0]), embeddings=True)
    return found[0].id, get_embeddings(predictions)[0]
