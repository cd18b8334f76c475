"""Masks as the bits of one number: arithmetic moves, joins and counts all pixels at once.

A mask (y, x) is stored line after line, the first pixel in the highest bit, with a 0 after each line, so that no pixel
has a neighbour in another line by mistake. `line` is the number of bits of a line, x + 1.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np


def pack_mask(mask: np.ndarray) -> int:
    """Return the bits of a mask (y, x) of bool; a few zeros follow the last line."""
    lines = np.zeros((mask.shape[0], mask.shape[1] + 1), bool)
    lines[:, :-1] = mask
    return int.from_bytes(np.packbits(lines).tobytes(), "big")


def unpack_mask(bits: int, height: int, width: int) -> np.ndarray:
    """Return the mask (height, width) of bool that `pack_mask` packed."""
    size = height * (width + 1)
    values = np.frombuffer(bits.to_bytes(-(-size // 8), "big"), np.uint8)
    return np.unpackbits(values, count=size).view(bool).reshape(height, width + 1)[:, :width]


@lru_cache(maxsize=16)
def mark_all(height: int, width: int) -> int:
    """Return the bits of a mask in which every pixel is set."""
    return pack_mask(np.ones((height, width), bool))


@lru_cache(maxsize=16)
def mark_edge(height: int, width: int) -> int:
    """Return the bits of a mask in which the pixels at the edge of the frame are set."""
    edge = np.ones((height, width), bool)
    edge[1:-1, 1:-1] = False
    return pack_mask(edge)


def dilate(bits: int, within: int, line: int, times: int = 1) -> int:
    """Add the direct neighbours of the pixels that are set, `times` times, within other bits."""
    for _ in range(times):
        bits |= (bits << 1 | bits >> 1 | bits << line | bits >> line) & within
    return bits


def fill(bits: int, within: int, line: int) -> int:
    """Add direct neighbours within other bits until there are no more."""
    while True:
        grown = dilate(bits, within, line)
        if grown == bits:
            return bits
        bits = grown


def count_squares(bits: int, line: int) -> tuple[int, int, int, int]:
    """Count the squares of 2 × 2 pixels, also those across the edge, by the pixels that are set in them.

    Args:
        bits: The mask.
        line: Number of bits of a line.

    Returns:
        The numbers of squares with one pixel, with two beside each other, with two on a diagonal, and with three.
    """
    here, right, below, across = bits, bits << 1, bits << line, bits << line + 1
    odd = here ^ right ^ below ^ across
    most = here & right & (below | across) | below & across & (here | right)  # three or four
    three = (most & odd).bit_count()
    one = odd.bit_count() - three
    diagonal = (here & across ^ right & below).bit_count() - three
    four = most.bit_count() - three
    beside = (4 * bits.bit_count() - one - 2 * diagonal - 3 * three - 4 * four) // 2
    return one, beside, diagonal, three
