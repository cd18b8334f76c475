"""Find fields that look similar to a field, by the embeddings of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lociscope.errors import Code, LociscopeError

if TYPE_CHECKING:
    from lociscope.artifacts.predictions import Predictions


class Neighbour(NamedTuple):
    """A similar field.

    Attributes:
        id: Its name.
        similarity: Cosine of the two embeddings, −1 to 1.
        predicted: The class numbers of its predicted locations.
    """

    id: str
    similarity: float
    predicted: tuple[int, ...]


def find_similar(embedding: np.ndarray, among: Predictions, number: int = 10) -> list[Neighbour]:
    """Return the fields whose embeddings are most similar to one, the most similar first.

    Args:
        embedding: (d,), of the same model as those of `among`.
        among: Predictions with embeddings.
        number: Most fields to return.

    Raises:
        LociscopeError: `among` has no embeddings, or embeddings of another length.
    """
    rows = get_embeddings(among)
    if rows.shape[1] != len(embedding):
        raise LociscopeError(
            f"The embedding of the field has {len(embedding)} numbers, those of the Predictions have {rows.shape[1]}: "
            "another model made them. Predict them with the same bundle.",
            code=Code.CONFLICT,
        )
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(embedding)
    cosine = rows @ embedding / np.where(lengths > 0, lengths, 1)
    order = np.argsort(-cosine, kind="stable")[:number]
    return [Neighbour(among.ids[row], float(cosine[row]), among.predicted[row]) for row in order]


def get_embeddings(among: Predictions) -> np.ndarray:
    """Return the embeddings of Predictions, (n, d).

    Raises:
        LociscopeError: They have none.
    """
    if among.embedding is None:
        raise LociscopeError(
            "The Predictions hold no embeddings. Predict again with `embeddings`, into another file.",
            code=Code.NOT_FOUND,
        )
    return among.embedding
