"""Convert labels of the single-cell challenge of 2021, whose 19 classes are wider than the 28."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from lociscope.errors import Code, LociscopeError
from lociscope.labels import CLASSES_2021, LABELS_2021

if TYPE_CHECKING:
    from pathlib import Path

NEGATIVE = LABELS_2021.index("Negative")

_ONLY: dict[int, tuple[int, ...]] = {
    number: (CLASSES_2021.mapping.index(number),)
    for number in range(NEGATIVE)
    if CLASSES_2021.mapping.count(number) == 1
} | {NEGATIVE: ()}
"""Classes of 2021 that equal one of the 28, or none. The others join several: Actin filaments also
Focal adhesion sites, Centrosome also Microtubule organizing center, Plasma membrane also Cell junctions, and
Vesicles five."""


def is_of_2021(table: Path) -> bool:
    """Return whether a label table has the columns of the challenge, `ID,Label`."""
    try:
        with table.open(encoding="utf-8-sig", errors="replace") as lines:
            return lines.readline().rstrip("\r\n").split(",")[:2] == ["ID", "Label"]
    except OSError:
        return False


def read_labels_2021(table: Path) -> dict[str, tuple[int, ...] | None]:
    """Read the challenge's `train.csv`, class numbers 0–18 between bars.

    Args:
        table: The CSV with the columns `ID` and `Label`.

    Returns:
        For each field its classes of the 28, or None where one of its labels joins several of them.

    Raises:
        LociscopeError: A label is not a class of 2021, or an id occurs twice.
    """
    labels: dict[str, tuple[int, ...] | None] = {}
    with table.open(newline="", encoding="utf-8-sig") as lines:
        reader = csv.DictReader(lines)
        for row in reader:
            where = f"'{table}' line {reader.line_num}"
            if row["ID"] in labels:
                raise LociscopeError(f"{where} repeats the id {row['ID']!r}. Keep one of them.", code=Code.DUPLICATE)
            labels[row["ID"]] = _parse_label(row["Label"] or "", where)
    return labels


def _parse_label(text: str, where: str) -> tuple[int, ...] | None:
    words = text.split("|")
    if not all(word.isascii() and word.isdigit() and int(word[:9]) <= NEGATIVE for word in words):
        raise LociscopeError(
            f"{where}: {text[:80]!r} is not a label of 2021; expected numbers 0–18 between bars, as 5|0.",
            code=Code.INVALID_LABELS,
        )
    classes = [_ONLY.get(int(word)) for word in words]
    if any(each is None for each in classes):
        return None
    return tuple(sorted({number for each in classes if each for number in each}))
