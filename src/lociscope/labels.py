"""The 28 classes of the Human Protein Atlas competition of 2018: locations in index order, and label strings.

Also the names of other vocabularies (the 19 classes of the 2021 challenge, the location names of HPA), and the coarser
levels on which scores are reported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lociscope.errors import Code, LociscopeError, suggest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LABELS: tuple[str, ...] = (
    "Nucleoplasm",
    "Nuclear membrane",
    "Nucleoli",
    "Nucleoli fibrillar center",
    "Nuclear speckles",
    "Nuclear bodies",
    "Endoplasmic reticulum",
    "Golgi apparatus",
    "Peroxisomes",
    "Endosomes",
    "Lysosomes",
    "Intermediate filaments",
    "Actin filaments",
    "Focal adhesion sites",
    "Microtubules",
    "Microtubule ends",
    "Cytokinetic bridge",
    "Mitotic spindle",
    "Microtubule organizing center",
    "Centrosome",
    "Lipid droplets",
    "Plasma membrane",
    "Cell junctions",
    "Mitochondria",
    "Aggresome",
    "Cytosol",
    "Cytoplasmic bodies",
    "Rods & rings",
)
"""Names of the classes; the position is the class number and never changes."""

ANATOMY: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("Nucleus", (0, 4, 5, 2, 3, 1)),
    ("Cytoplasm", (25, 26, 27, 24, 23)),
    ("Cytoskeleton", (14, 15, 18, 19, 17, 16, 11, 12, 13)),
    ("Endomembrane system", (6, 7, 9, 10, 8, 20, 21, 22)),
)
"""The classes in anatomical order, from the nucleus outwards: groups of neighbours."""

ANATOMICAL_ORDER: tuple[int, ...] = tuple(number for _, numbers in ANATOMY for number in numbers)

N_LABELS = len(LABELS)


def parse_target(text: str) -> tuple[int, ...]:
    """Parse the competition's `Target`: class numbers between spaces.

    Args:
        text: For example `"16 0"`; blank means that no location is labelled.

    Returns:
        The class numbers, ascending, each once.

    Raises:
        LociscopeError: A word is not a whole number in 0–27.
    """
    numbers = set()
    for word in text.split():
        if not (word.isascii() and word.isdigit() and len(word) < 9 and int(word) < N_LABELS):
            raise LociscopeError(
                f"Label {_shorten(word, 40)} is not a class number; expected whole numbers 0–{N_LABELS - 1} between "
                f"spaces, as in '16 0', received {_shorten(text, 80)}.",
                code=Code.INVALID_LABELS,
            )
        numbers.add(int(word))
    return tuple(sorted(numbers))


def _shorten(text: str, limit: int) -> str:
    """Return the text in quotes, truncated to about `limit` printed characters: an escaped one takes up to ten."""
    quoted = repr(text[: limit + 1])
    return quoted if len(quoted) <= limit + 2 else f"{quoted[: limit + 1]}…"


def format_target(numbers: Iterable[int]) -> str:
    """Format class numbers as the competition does, `"0 16"`; the inverse of `parse_target`."""
    return " ".join(str(number) for number in sorted(set(numbers)))


def expand_classes(values: np.ndarray, classes: Sequence[int], fill: float = np.nan) -> np.ndarray:
    """Return values of some of the classes as values of all 28.

    Args:
        values: (…, k), in the order of `classes`.
        classes: k class numbers, ascending.
        fill: The value of the other classes; NaN, an unknown probability, by default.

    Returns:
        (…, 28) of the type of `values`; `values` itself where they are all 28.
    """
    if len(classes) == N_LABELS:
        return values
    expanded = np.full((*values.shape[:-1], N_LABELS), fill, values.dtype)
    expanded[..., list(classes)] = values
    return expanded


def find_known(probability: np.ndarray) -> np.ndarray:
    """Return which classes a model knows, (28,) of bool: their probabilities (n, 28) are numbers, not NaN."""
    return np.asarray(~np.isnan(probability).any(axis=0))


def to_nullable(probability: np.ndarray, digits: int | None = None) -> list[float | None]:
    """Return probabilities (28,) for JSON: None for a class that the model does not know.

    Args:
        probability: (28,), NaN where unknown.
        digits: Number of decimals; None for all.
    """
    values = [None if np.isnan(value) else float(value) for value in probability]
    return values if digits is None else [None if value is None else round(value, digits) for value in values]


def to_multi_hot(targets: Sequence[Iterable[int]]) -> np.ndarray:
    """Convert class numbers to a truth matrix.

    Args:
        targets: The class numbers of each of n fields.

    Returns:
        Array (n, 28) of uint8, 1 where the class is labelled.
    """
    matrix = np.zeros((len(targets), N_LABELS), np.uint8)
    for row, numbers in zip(matrix, targets, strict=True):
        row[list(numbers)] = 1
    return matrix


class Level(NamedTuple):
    """A coarser vocabulary that the 28 classes map into.

    Attributes:
        name: Its name in reports.
        classes: Its classes, in order.
        mapping: For each of the 28 classes its class here, or None where there is no counterpart.
    """

    name: str
    classes: tuple[str, ...]
    mapping: tuple[int | None, ...]

    def aggregate(self, values: np.ndarray) -> np.ndarray:
        """Convert truth, decisions or scores to this level: the maximum over the classes that it joins.

        Args:
            values: (n, 28). A probability becomes a lower bound of the probability of the union.

        Returns:
            (n, classes of this level), of the same type; 0 for a class of this level that joins none.
        """
        result = np.zeros((len(values), len(self.classes)), values.dtype)
        for column, target in enumerate(self.mapping):
            if target is not None:
                result[:, target] = np.maximum(result[:, target], values[:, column])
        return result


LABELS_2021: tuple[str, ...] = (
    "Nucleoplasm",
    "Nuclear membrane",
    "Nucleoli",
    "Nucleoli fibrillar center",
    "Nuclear speckles",
    "Nuclear bodies",
    "Endoplasmic reticulum",
    "Golgi apparatus",
    "Intermediate filaments",
    "Actin filaments",
    "Microtubules",
    "Mitotic spindle",
    "Centrosome",
    "Plasma membrane",
    "Mitochondria",
    "Aggresome",
    "Cytosol",
    "Vesicles and punctate cytosolic patterns",
    "Negative",
)
"""The 19 classes of the single-cell challenge of 2021, in its order."""

FINE = Level("28 classes", LABELS, tuple(range(N_LABELS)))

CLASSES_2021 = Level(
    "19 classes of 2021",
    LABELS_2021,
    # 0–7 have the same numbers; 15, 16 and 27 have no counterpart
    (*range(8), 17, 17, 17, 8, 9, 9, 10, None, None, 11, 12, 12, 17, 13, 13, 14, 15, 16, 17, None),
)
"""Checked against the 21,806 fields with labels of both years: see `tests/test_labels.py`."""

COMPARTMENTS = Level(
    "3 compartments",
    ("Nucleus", "Cytoplasm", "Endomembrane system"),
    # HPA's meta compartments: secretory organelles, vesicles and the plasma membrane are the endomembrane system
    (*[0] * 6, 2, 2, 2, 2, 2, *[1] * 9, 2, 2, 2, *[1] * 5),
)

LEVELS: tuple[Level, ...] = (FINE, CLASSES_2021, COMPARTMENTS)
"""The levels on which scores are reported, finest first."""

HPA_NAMES: dict[str, int] = {
    **{name: number for number, name in enumerate(LABELS)},
    "Rods & Rings": 27,
    "Cell Junctions": 22,
    "Centriolar satellite": 18,
}
"""The class of each location name of HPA, which renamed 18 to Centriolar satellite."""

HPA_WITHOUT_CLASS: dict[str, int] = {
    "Nucleoli rim": 0,
    "Kinetochore": 0,
    "Mitotic chromosome": 0,
    "Micronucleus": 0,
    "Midbody": 1,
    "Midbody ring": 1,
    "Cleavage furrow": 1,
    "Basal body": 1,
    "Vesicles": 2,
}
"""Location names of HPA without a class, and the compartment (of `COMPARTMENTS`) of each."""


def find_class(name: str) -> int | None:
    """Return the class of a location name of HPA.

    Args:
        name: For example `Centriolar satellite`, in any case.

    Returns:
        The class number, or None for a location without a class (`HPA_WITHOUT_CLASS`).

    Raises:
        LociscopeError: HPA has no such location; the message names the nearest.
    """
    known = {each.lower(): number for each, number in HPA_NAMES.items()}
    folded = name.strip().lower()
    if folded in known:
        return known[folded]
    if folded in {each.lower() for each in HPA_WITHOUT_CLASS}:
        return None
    raise LociscopeError(
        f"HPA has no location {name!r}.{suggest(name, [*HPA_NAMES, *HPA_WITHOUT_CLASS])}", code=Code.INVALID_LABELS
    )
