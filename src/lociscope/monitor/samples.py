"""What is compared: fields with their statistics, embeddings and places, from wherever they were kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from lociscope.artifacts.bundle import read_reference
from lociscope.errors import Code, LociscopeError
from lociscope.images.statistics import STATISTICS
from lociscope.labels import to_multi_hot

if TYPE_CHECKING:
    from lociscope.artifacts.bundle import Bundle
    from lociscope.artifacts.predictions import Predictions
    from lociscope.prediction_log.log import Window


@dataclass(frozen=True, slots=True)
class Sample:
    """n fields, one side of a comparison.

    Attributes:
        what: What they are, as it follows "compared with".
        ids: Their names.
        places: (n, 28) of bool: the places decided on.
        statistics: (n, k) float32 in the order of `lociscope.images.statistics.STATISTICS`, or None.
        embedding: (n, d) float32, or None.
        bundle: sha256 of the bundle that predicted them, or None where nothing says it.
    """

    what: str
    ids: list[str]
    places: np.ndarray
    statistics: np.ndarray | None
    embedding: np.ndarray | None
    bundle: str | None

    def __len__(self) -> int:
        return len(self.ids)

    def prints(self) -> list[tuple[str, bytes]]:
        """What tells each field from all others, its name and its figures; none where it has no figures."""
        figures = self.embedding if self.statistics is None else self.statistics
        if figures is None:
            return []
        return [(name, row.tobytes()) for name, row in zip(self.ids, figures, strict=True)]

    def distinct(self) -> Self:
        """Every field once: one that was predicted again, or by two commands, is no second evidence."""
        first = {mark: row for row, mark in reversed([*enumerate(self.prints())])}
        if len(first) in (0, len(self)):
            return self
        rows = sorted(first.values())
        return replace(
            self,
            ids=[self.ids[row] for row in rows],
            places=self.places[rows],
            statistics=None if self.statistics is None else self.statistics[rows],
            embedding=None if self.embedding is None else self.embedding[rows],
        )

    @classmethod
    def of_window(cls, window: Window, what: str) -> Self:
        """Rows of a log, of one bundle.

        Raises:
            LociscopeError: Their statistics are not this version's.
        """
        if len(window) and window.statistics.shape[1] != len(STATISTICS):
            raise LociscopeError(
                f"{what} holds {window.statistics.shape[1]} statistics a field, expected {len(STATISTICS)}: another "
                "lociscope wrote it. Compare with the version that did.",
                code=Code.INVALID_VALUE,
            )
        made = window.predictions
        bundle = window.bundles[0] if len(set(window.bundles)) == 1 else None
        return cls(what, made.ids, to_multi_hot(made.predicted).astype(bool), window.statistics, made.embedding, bundle)

    @classmethod
    def of_predictions(cls, made: Predictions, bundle: str | None, what: str) -> Self:
        """Predictions, which carry no statistics; embeddings if they were kept."""
        return cls(what, made.ids, to_multi_hot(made.predicted).astype(bool), None, made.embedding, bundle)

    @classmethod
    def of_bundle(cls, bundle: Bundle) -> Self:
        """The reference that a bundle carries.

        Raises:
            LociscopeError: It carries none, or a damaged one.
        """
        reference = read_reference(bundle)
        if reference is None:
            raise LociscopeError(
                f"Bundle '{bundle.folder}' carries no reference. Export it again, with --catalog if it learned from "
                "one, or name fields to compare with by --reference.",
                code=Code.INVALID_VALUE,
            )
        said = (bundle.card.reference or {}).get("what", "fields")
        what = f"the reference of {bundle.card.name} ({len(reference.statistics)} {said})"
        known = reference.names == STATISTICS
        places = reference.probability >= np.asarray(bundle.card.decide.thresholds, np.float32)
        return cls(
            what,
            [str(number) for number in range(len(places))],
            places,
            reference.statistics if known else None,
            reference.embedding if reference.embedding.shape[1] else None,
            bundle.sha256,
        )
