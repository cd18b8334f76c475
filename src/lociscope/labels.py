"""The 28 places of the Human Protein Atlas competition of 2018, in its index order, and label strings."""

from typing import TYPE_CHECKING

import numpy as np

from lociscope.errors import LociscopeError

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
"""Names of the classes; the position is the class number, for ever."""

N_LABELS = len(LABELS)


def parse_target(text: str) -> tuple[int, ...]:
    """Reads the competition's `Target`: class numbers between spaces.

    Args:
        text: For example `"16 0"`; blank means that no place is labelled.

    Returns:
        The class numbers, ascending, each once.

    Raises:
        LociscopeError: A word is no whole number in 0–27.
    """
    numbers = set()
    for word in text.split():
        if not (word.isascii() and word.isdigit() and int(word) < N_LABELS):
            raise LociscopeError(
                f"Label {word!r} is no class number; expected whole numbers 0–{N_LABELS - 1} between spaces, "
                f"as in '16 0', received {text!r}."
            )
        numbers.add(int(word))
    return tuple(sorted(numbers))


def format_target(numbers: "Iterable[int]") -> str:
    """Writes class numbers as the competition does, `"0 16"`; the inverse of `parse_target`."""
    return " ".join(str(number) for number in sorted(set(numbers)))


def to_multi_hot(targets: "Sequence[Iterable[int]]") -> np.ndarray:
    """Turns class numbers into a truth matrix.

    Args:
        targets: For each of n fields its class numbers.

    Returns:
        Array (n, 28) of uint8, 1 where the place is labelled.
    """
    matrix = np.zeros((len(targets), N_LABELS), np.uint8)
    for row, numbers in zip(matrix, targets, strict=True):
        row[list(numbers)] = 1
    return matrix
