"""Samples: fields with their pixel statistics, embeddings and locations, from a log, Predictions or a bundle."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from lociscope.artifacts.bundle import read_reference
from lociscope.errors import Code, LociscopeError
from lociscope.images.statistics import STATISTICS
from lociscope.labels import to_multi_hot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lociscope.artifacts.bundle import Bundle
    from lociscope.artifacts.predictions import Predictions
    from lociscope.prediction_log.rows import Window
    from lociscope.warnings import FieldWarning


@dataclass(frozen=True, slots=True)
class Sample:
    """n fields, one side of a comparison.

    Attributes:
        name: What they are, such as `log 'lab.db'`.
        ids: Ids of the fields.
        locations: (n, 28) of bool: the predicted locations.
        statistics: (n, k) float32 in the order of `lociscope.images.statistics.STATISTICS`, or None.
        embedding: (n, d) float32, or None.
        bundle: sha256 of the bundle that predicted them, or None if nothing records it.
        simulated: Whether the fields are simulated, as in the reference of a bundle trained on simulated fields.
        probability: (n, 28) float32; NaN for a class that the model does not know.
        warnings: The warnings of each field, or None if nothing records them.
    """

    name: str
    ids: list[str]
    locations: np.ndarray
    statistics: np.ndarray | None
    embedding: np.ndarray | None
    bundle: str | None
    simulated: bool = False
    probability: np.ndarray | None = None
    warnings: list[tuple[FieldWarning, ...]] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def fingerprints(self) -> list[tuple[str, bytes]]:
        """Return the id and the figures of each field, which identify it; an empty list if there are no figures."""
        figures = self.embedding if self.statistics is None else self.statistics
        if figures is None:
            return []
        return [(name, row.tobytes()) for name, row in zip(self.ids, figures, strict=True)]

    def deduplicate(self) -> Self:
        """Return the sample with each field once: a field that was predicted twice is not additional evidence."""
        first = {mark: row for row, mark in reversed([*enumerate(self.fingerprints())])}
        if len(first) in (0, len(self)):
            return self
        return self.take(sorted(first.values()))

    def drop_invalid(self) -> Self:
        """Return the sample without fields whose statistics or embeddings are not finite."""
        tables = [table for table in (self.statistics, self.embedding) if table is not None]
        valid = np.all([np.isfinite(table).all(axis=1) for table in tables], axis=0) if tables else np.True_
        return self if np.all(valid) else self.take(np.flatnonzero(valid))

    def take(self, rows: Sequence[int] | np.ndarray) -> Self:
        """Return the given fields, in the given order."""
        return replace(
            self,
            ids=[self.ids[row] for row in rows],
            locations=self.locations[rows],
            statistics=None if self.statistics is None else self.statistics[rows],
            embedding=None if self.embedding is None else self.embedding[rows],
            probability=None if self.probability is None else self.probability[rows],
            warnings=None if self.warnings is None else [self.warnings[row] for row in rows],
        )

    @classmethod
    def from_log(cls, window: Window, name: str) -> Self:
        """Return the sample of rows of a log.

        Raises:
            LociscopeError: Another version wrote their statistics.
        """
        if len(window) and window.statistics.shape[1] != len(STATISTICS):
            raise LociscopeError(
                f"{name} has {window.statistics.shape[1]} statistics a field, expected {len(STATISTICS)}: another "
                "version of lociscope wrote it. Compare with that version.",
                code=Code.UNSUPPORTED_VERSION,
            )
        bundle = window.bundles[0] if len(set(window.bundles)) == 1 else None
        return cls._from_table(window.predictions, window.statistics, bundle, name)

    @classmethod
    def from_predictions(cls, predictions: Predictions, bundle: str | None, name: str) -> Self:
        """Return the sample of Predictions, which have no statistics, and embeddings only if they were kept."""
        return cls._from_table(predictions, None, bundle, name)

    @classmethod
    def _from_table(
        cls, predictions: Predictions, statistics: np.ndarray | None, bundle: str | None, name: str
    ) -> Self:
        locations = to_multi_hot(predictions.predicted).astype(bool)
        return cls(
            name,
            predictions.ids,
            locations,
            statistics,
            predictions.embedding,
            bundle,
            probability=predictions.probability,
            warnings=predictions.warnings,
        )

    @classmethod
    def from_bundle(cls, bundle: Bundle) -> Self:
        """Return the reference that a bundle carries.

        Raises:
            LociscopeError: It carries none, or a damaged one.
        """
        reference = read_reference(bundle)
        if reference is None:
            raise LociscopeError(
                f"Bundle '{bundle.folder}' carries no reference. Export it again, with a Catalog if it was trained on "
                "one, or pass fields to compare with as `reference`.",
                code=Code.NOT_FOUND,
            )
        summary = bundle.card.reference or {}
        fields = summary.get("what", "fields")
        locations = reference.probability >= np.asarray(bundle.card.decide.thresholds, np.float32)
        return cls(
            f"the reference of {bundle.card.name} ({len(reference.statistics)} {fields})",
            [str(number) for number in range(len(locations))],
            locations,
            reference.statistics if reference.names == STATISTICS else None,
            reference.embedding if reference.embedding.shape[1] else None,
            bundle.sha256,
            # A card without `kind` has it as the first word of its text.
            (summary.get("kind") or fields.partition(" ")[0]) == "simulated",
            reference.probability,
        )
