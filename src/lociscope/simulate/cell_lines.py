"""Cell lines: shapes and growth of the cells of a specimen."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lociscope.errors import Code, UsageError, suggest


@dataclass(frozen=True, slots=True, kw_only=True)
class CellLine:
    """How the cells of a line look. Lengths in µm; shares in 0–1.

    Attributes:
        name: The line whose manner is imitated.
        weight: How often a specimen is of this line.
        nucleus: Median diameter of the nucleus.
        oval: Ratio of the axes of the nucleus.
        spread: Radius of the cell over that of its nucleus.
        stretch: Ratio of the axes of the cell.
        pointed: 0 for a rounded outline, 1 for one with pointed ends.
        rough: How irregular outlines are.
        lobed: How irregular nuclei are.
        aligned: 1 where neighbours lie parallel, 0 where each lies as it will.
        clumped: Share of clustering into islands.
        cover: Share of the field that cells fill.
        rise: Distance from the edge over which the cell reaches its full height: small for domes, large for flat cells.
        nucleoli: Mean number of nucleoli.
        focus: Distance from the nucleus over which microtubules fade.
    """

    name: str
    weight: float
    nucleus: float
    oval: float = 1.35
    spread: float = 2.0
    stretch: float = 1.3
    pointed: float = 0.2
    rough: float = 0.16
    lobed: float = 0.055
    aligned: float = 0.2
    clumped: float = 0.2
    cover: float = 0.75
    rise: float = 2.5
    nucleoli: float = 3.0
    focus: float = 10.0


CELL_LINES: dict[str, CellLine] = {
    line.name: line
    for line in (
        CellLine(
            name="A-431", weight=24, nucleus=16.4, spread=2.05, stretch=1.3, rough=0.19, clumped=0.5, cover=0.9, focus=8
        ),
        CellLine(
            name="U-2 OS",
            weight=28,
            nucleus=17.5,
            spread=2.51,
            stretch=1.4,
            rough=0.26,
            rise=4,
            focus=13,
            nucleoli=4,
            cover=0.85,
        ),
        CellLine(
            name="U-251 MG",
            weight=19,
            nucleus=16.4,
            spread=2.33,
            stretch=1.9,
            pointed=0.45,
            rough=0.3,
            rise=3.5,
            clumped=0.1,
            cover=0.75,
            focus=12,
        ),
        CellLine(name="HeLa", weight=5, nucleus=15.4, spread=2.05, stretch=1.4, rough=0.25, cover=0.7, nucleoli=3.5),
        CellLine(
            name="MCF7",
            weight=5,
            nucleus=14.3,
            spread=1.67,
            stretch=1.2,
            rough=0.14,
            clumped=0.8,
            cover=0.85,
            rise=1.5,
            nucleoli=2.5,
            focus=7,
        ),
        CellLine(
            name="HEK 293",
            weight=4,
            nucleus=13.2,
            spread=1.63,
            stretch=1.5,
            rough=0.27,
            lobed=0.08,
            clumped=0.6,
            cover=0.9,
            rise=1.5,
            focus=6,
        ),
        CellLine(name="PC-3", weight=3, nucleus=15.4, spread=2.05, stretch=1.6, pointed=0.3, rough=0.28, cover=0.65),
        CellLine(
            name="A-549", weight=3, nucleus=15.4, spread=2.23, stretch=1.5, rough=0.22, clumped=0.3, cover=0.9, rise=3
        ),
        CellLine(
            name="Hep G2",
            weight=2.5,
            nucleus=13.8,
            oval=1.12,
            spread=1.63,
            stretch=1.15,
            rough=0.12,
            clumped=0.9,
            cover=0.8,
            rise=1.2,
            nucleoli=2,
            focus=6,
        ),
        CellLine(
            name="RT4",
            weight=2,
            nucleus=13.2,
            oval=1.2,
            spread=1.67,
            stretch=1.15,
            rough=0.09,
            clumped=0.95,
            cover=0.85,
            rise=1.5,
            focus=6,
        ),
        CellLine(
            name="CACO-2",
            weight=1.5,
            nucleus=13.8,
            spread=1.58,
            stretch=1.15,
            rough=0.1,
            clumped=0.9,
            cover=0.95,
            rise=1.5,
            focus=7,
        ),
        CellLine(
            name="SH-SY5Y",
            weight=1.5,
            nucleus=12.2,
            spread=1.67,
            stretch=2.3,
            pointed=0.7,
            rough=0.32,
            clumped=0.3,
            cover=0.65,
            rise=1.5,
            focus=7,
        ),
        CellLine(
            name="SK-MEL-30",
            weight=1.5,
            nucleus=14.3,
            spread=2.05,
            stretch=2.3,
            pointed=0.6,
            rough=0.26,
            aligned=0.5,
            cover=0.75,
        ),
        CellLine(
            name="hTERT-RPE1",
            weight=2,
            nucleus=16.4,
            spread=2.6,
            stretch=1.7,
            pointed=0.3,
            rough=0.24,
            aligned=0.6,
            cover=0.9,
            rise=5,
            focus=15,
        ),
        CellLine(
            name="BJ",
            weight=2,
            nucleus=17.0,
            oval=1.5,
            spread=2.7,
            stretch=2.9,
            pointed=0.6,
            rough=0.22,
            aligned=0.9,
            cover=0.9,
            rise=5,
            focus=18,
            nucleoli=2.5,
        ),
        CellLine(
            name="HUVEC TERT2",
            weight=1.5,
            nucleus=15.4,
            spread=2.33,
            stretch=1.6,
            rough=0.2,
            aligned=0.4,
            cover=1.0,
            rise=4,
            focus=12,
        ),
        CellLine(
            name="K-562",
            weight=1.5,
            nucleus=9.3,
            oval=1.1,
            spread=1.3,
            stretch=1.05,
            rough=0.06,
            lobed=0.12,
            cover=0.5,
            rise=1.0,
            nucleoli=2,
            focus=4,
        ),
        CellLine(
            name="REH",
            weight=1.5,
            nucleus=7.6,
            oval=1.12,
            spread=1.3,
            stretch=1.05,
            rough=0.06,
            lobed=0.12,
            clumped=0.3,
            cover=0.6,
            rise=0.8,
            nucleoli=1.5,
            focus=3,
        ),
    )
}
"""The lines that can be simulated, by name. Weights follow the three lines that HPA stains most; shapes are by eye."""


SPARSE = 0.5
"""Share of sparse cultures; by eye on real fields."""


def cell_line(name: str | None, rng: np.random.Generator) -> CellLine:
    """Return the line of a name, or one sampled by weight.

    Raises:
        UsageError: No line has that name.
    """
    if name is None:
        lines = list(CELL_LINES.values())
        weights = np.array([line.weight for line in lines])
        return lines[int(rng.choice(len(lines), p=weights / weights.sum()))]
    if name not in CELL_LINES:
        raise UsageError(
            f"Cell line {name!r} cannot be simulated.{suggest(name, CELL_LINES)}",
            code=Code.UNKNOWN_NAME,
        )
    return CELL_LINES[name]


def vary(line: CellLine, rng: np.random.Generator) -> CellLine:
    """Return the line in another culture: somewhat larger or smaller, more or less regular, dense or sparse.

    In sparse cultures cells are contracted, steep at their edges and apart from one another.
    """
    sparse = rng.random() < SPARSE
    wobble = np.exp(rng.normal(0, 1, 8) * (0.06, 0.08, 0.3, 0.3, 0.25, 0.2, 0.25, 0.25)).tolist()
    return replace(
        line,
        nucleus=line.nucleus * wobble[0],
        oval=1 + (line.oval - 1) * wobble[2],
        stretch=1 + (line.stretch - 1) * wobble[3],
        focus=line.focus * wobble[7],
        spread=max(1.25, line.spread * (wobble[1] * (rng.uniform(0.62, 1.0) if sparse else 1.0))),
        rough=line.rough * (wobble[4] * (rng.uniform(0.4, 1.5) if sparse else 1.0)),
        rise=line.rise * (wobble[6] * (rng.uniform(0.3, 0.9) if sparse else 1.0)),
        cover=float(np.clip(line.cover * (rng.uniform(0.2, 0.6) if sparse else rng.uniform(0.6, 1.2)), 0.12, 1)),
        clumped=line.clumped * (rng.uniform(0.1, 0.6) if sparse else 1.0),
        lobed=line.lobed * wobble[5] * (1.7 if rng.random() < 0.12 else 1.0),
    )
