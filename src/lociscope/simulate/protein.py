"""A specimen's protein: its locations, their strengths and styles, and its labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lociscope.simulate.canvas import Image, unit
from lociscope.simulate.patterns import PATTERNS, pattern_of
from lociscope.simulate.patterns.texture import background, grain
from lociscope.simulate.patterns.vesicles import unidentified

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lociscope.simulate.layout import Cells
    from lociscope.simulate.patterns.registry import Levels
    from lociscope.simulate.scene import Scene

COMPANIONS: dict[int, tuple[tuple[int, float, float, float], ...]] = {
    1: ((0, 0.3, 0.1, 0.35),),
    2: ((0, 0.3, 0.05, 0.25),),
    3: ((2, 0.3, 0.1, 0.3), (0, 0.3, 0.05, 0.25)),
    4: ((0, 0.6, 0.05, 0.35),),
    5: ((0, 0.4, 0.05, 0.3),),
    7: ((25, 0.3, 0.05, 0.2),),
    10: ((9, 0.5, 0.2, 0.5),),
    12: ((13, 0.2, 0.2, 0.5), (21, 0.3, 0.1, 0.3)),
    13: ((12, 0.4, 0.1, 0.4), (25, 0.4, 0.05, 0.3)),
    15: ((14, 0.6, 0.1, 0.4),),
    16: ((14, 0.5, 0.1, 0.4), (25, 0.5, 0.05, 0.3)),
    17: ((14, 0.4, 0.1, 0.4), (19, 0.3, 0.2, 0.6), (25, 0.5, 0.05, 0.3)),
    22: ((21, 0.5, 0.1, 0.35), (25, 0.4, 0.05, 0.3)),
    26: ((25, 0.5, 0.05, 0.25),),
}
"""For a labelled location the locations that often show with it unlabelled: location, how often, weakest, strongest."""

CONFUSED: dict[int, tuple[int, ...]] = {
    0: (5, 4, 25), 1: (0, 2, 5), 2: (3, 0, 25), 3: (2, 5, 0), 4: (0, 5, 2), 5: (0, 3, 19), 6: (25, 23, 11),
    7: (23, 18, 25), 8: (9, 10, 20), 9: (10, 8, 26), 10: (9, 20), 11: (24, 6, 25), 12: (21, 22, 25), 13: (22, 21, 12),
    14: (16, 25, 15), 15: (14, 16), 16: (14, 17), 17: (16, 18), 18: (19, 7, 25), 19: (18, 5, 25), 20: (9, 10, 8),
    21: (25, 22, 12), 22: (13, 21, 26), 23: (6, 25, 7), 24: (18, 19, 5), 25: (6, 21, 23), 26: (20, 25, 19),
    27: (26, 24, 15),
}  # fmt: skip
"""What a location is confused with: where ten networks of real fields put the weight of fields of one label."""


@dataclass(frozen=True, slots=True)
class Role:
    """One location of a protein.

    Attributes:
        location: Its class number.
        style: The style in which it is rendered.
        strength: Its brightness beside the others.
        labelled: Whether an annotator names it.
        varies: Standard deviation of the logarithm of its strength over the cells.
        silent: Share of cells in which it does not show.
    """

    location: int
    style: str
    strength: float
    labelled: bool
    varies: float
    silent: float


@dataclass(frozen=True, slots=True)
class Protein:
    """The protein of a specimen, which the green channel shows.

    Attributes:
        roles: The locations, the labelled ones first.
        haze: Strength of unlabelled haze in the cytoplasm and in the nucleus.
        unlabelled_dots: Strength of dots that no label names.
    """

    roles: tuple[Role, ...]
    haze: tuple[float, float]
    unlabelled_dots: float

    @property
    def target(self) -> tuple[int, ...]:
        """The labelled locations, ascending."""
        return tuple(sorted(role.location for role in self.roles if role.labelled))

    @property
    def simulated(self) -> tuple[int, ...]:
        """All simulated locations, ascending."""
        return tuple(sorted(role.location for role in self.roles))


def make_protein(rng: np.random.Generator, locations: Sequence[int]) -> Protein:
    """Sample strengths, styles and companions for a set of labels; an empty set is negative or unspecific."""
    named = [pattern_of(location).location for location in locations]
    lead = int(rng.integers(len(named))) if named else -1
    mixed = len({PATTERNS[location].cover for location in named}) > 1
    roles = [
        _role(rng, location, _strength(rng, location, rank == lead, mixed), labelled=True)
        for rank, location in enumerate(named)
    ]
    for location in named:
        for other, chance, low, high in COMPANIONS.get(location, ()):
            if rng.random() < chance and other not in {role.location for role in roles}:
                roles.append(_role(rng, other, rng.uniform(low, high), labelled=False))
    haze = [min(3 * weak, float(rng.gamma(1.0, weak))) for weak in ((0.06, 0.05) if named else (0.5, 0.5))]
    unlabelled_dots = float(rng.uniform(0.05, 0.5)) if rng.random() < 0.6 else 0.0
    return Protein(tuple(roles), (haze[0], 0.6 * haze[1]), unlabelled_dots)


def _strength(rng: np.random.Generator, location: int, leads: bool, mixed: bool) -> float:
    strength = 1.0 if leads else float(np.exp(-abs(rng.normal(0, 0.55))))
    if location in (16, 17):
        strength = float(rng.uniform(0.5, 1.3))
    return strength * (float(rng.uniform(0.3, 0.9)) if mixed and PATTERNS[location].cover else 1.0)


def _role(rng: np.random.Generator, location: int, strength: float, *, labelled: bool) -> Role:
    styles = PATTERNS[location].styles
    often = 0.7 if location in (11, 15) else 0.07 if PATTERNS[location].cover else 0.2
    silent = float(rng.uniform(0.1, 0.7)) if rng.random() < often else 0.0
    varies = float(rng.uniform(0.05, 0.35))
    return Role(location, styles[int(rng.integers(len(styles)))], float(strength), labelled, varies, silent)


def annotate(rng: np.random.Generator, locations: tuple[int, ...], noise: float) -> tuple[int, ...]:
    """Return the labels of an annotator who makes errors.

    Args:
        rng: Source of randomness.
        locations: The right labels.
        noise: Share of labels that are wrong: half of these are left out where another remains, the others exchanged
            for a location that looks similar.

    Returns:
        The labels, ascending; as many as before or fewer, never none unless there were none.
    """
    kept = set(locations)
    for location in locations:
        wrong, left_out, other = rng.random() < noise, rng.random() < 0.5, rng.choice(CONFUSED[location])
        if wrong and left_out and len(kept) > 1:
            kept.discard(location)
        elif wrong:
            kept = (kept - {location}) | {int(other)}
    return tuple(sorted(kept))


def cell_levels(rng: np.random.Generator, role: Role, cells: Cells, expression: Levels) -> Levels:
    """Return the strength of one location in each cell (n,)."""
    own = np.exp(rng.normal(0, role.varies * 0.6, len(cells)))
    shown = rng.random(len(cells)) >= role.silent
    if not shown.any() and len(cells):
        shown[int(rng.integers(len(cells)))] = True
    return expression**role.varies * own * shown


def green_channel(
    rng: np.random.Generator, scene: Scene, protein: Protein
) -> tuple[Image, dict[int, Image], dict[int, Levels]]:
    """Render the protein.

    Returns:
        The light of the protein; for each simulated location its own light, 1 where bright, before it is weighed; and
        for each simulated location the strength in each cell.
    """
    expression = np.exp(rng.normal(0, 0.7, len(scene.cells)))
    light, parts, levels = scene.canvas.blank(), {}, {}
    for role in protein.roles:
        level = cell_levels(rng, role, scene.cells, expression)
        part = PATTERNS[role.location].render(scene, rng, role.style, level)
        light = light + np.float32(role.strength / scene.canvas.seen(part)) * part
        parts[role.location], levels[role.location] = part, level * role.strength
    light = light * np.exp(
        rng.uniform(0, 0.35) * scene.canvas.noise(rng, rng.uniform(12, 30))
    )  # to one side of its cell
    even = expression**0.2
    cytoplasm, nucleus = protein.haze
    inside = scene.inner * grain(scene, rng, rng.uniform(0.06, 0.2)) * np.exp(-0.15 * scene.grain)
    light = light + scene.spread(even) * (np.float32(cytoplasm) * background(scene, rng) + np.float32(nucleus) * inside)
    if protein.unlabelled_dots:
        light = light + np.float32(protein.unlabelled_dots) * unit(unidentified(scene, rng, even))
    return np.asarray(light, np.float32), parts, levels
