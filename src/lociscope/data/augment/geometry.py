"""Geometric augmentation: flips and whole shifts, and one resampling for all other operations."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lociscope.data.augment.xla import run_compiled

if TYPE_CHECKING:
    import tensorflow as tf

    from lociscope.artifacts.recipe import Augment
    from lociscope.data.pipeline.sample_random import PerSampleRng

_KNOTS = 5
"""An elastic deformation is smooth between 5 × 5 knots: about one for each cell of a field."""


def flip_and_shift(x: tf.Tensor, rng: PerSampleRng, settings: Augment) -> tf.Tensor:
    """Flip and shift each field by whole pixels, without resampling.

    Args:
        x: (n, side, side, 4) of uint8; a pixel moves as one number of four bytes, twenty times faster than as floats.
        rng: The random generators of the samples.
        settings: `flip` is one of the eight symmetries of the square; `shift` is done by `warp` where that is called.

    Returns:
        The same shape and type; the field is mirrored at its edges.
    """
    import tensorflow as tf

    shifts = bool(settings.shift) and not has_resampling_ops(settings)
    if not settings.flip and not shifts:
        return x
    side = x.shape[1]
    rows = columns = tf.range(side)[None]
    if shifts:
        moved = tf.cast(tf.round(rng.uniform("shift", -1, 1, each=2) * settings.shift * side), tf.int32)
        rows, columns = _mirror(rows + moved[:, :1], side), _mirror(columns + moved[:, 1:], side)
    positions = rows[:, :, None] * side + columns[:, None]
    if settings.flip:
        coins = tf.transpose(rng.uniform("flip", each=3) < 0.5)[:, :, None]
        rows, columns = tf.where(coins[0], side - 1 - rows, rows), tf.where(coins[1], side - 1 - columns, columns)
        turned = rows[:, None] * side + columns[:, :, None]
        positions = tf.where(coins[2][:, None], turned, rows[:, :, None] * side + columns[:, None])
    pixels = tf.reshape(tf.bitcast(x, tf.int32), [-1, side * side])
    found = tf.gather(pixels, tf.reshape(positions, [-1, side * side]), axis=1, batch_dims=1)
    return tf.bitcast(tf.reshape(found, [-1, side, side]), tf.uint8)


def has_resampling_ops(settings: Augment) -> bool:
    """Return whether a recipe has an operation that moves pixels off their grid."""
    return any((settings.rotate, settings.scale, settings.shear, settings.crop, settings.elastic))


def warp(x: tf.Tensor, rng: PerSampleRng, settings: Augment) -> tf.Tensor:
    """Shift, rotate, scale, shear, crop and deform each field in one bilinear resampling.

    The field is mirrored at its edges, so that no cell ends in black.

    Args:
        x: (n, side, side, 4) of float32.
        rng: The random generators of the samples.
        settings: The `[augment]` table.

    Returns:
        The same shape.
    """
    if settings.rotate or settings.shear or settings.elastic:
        return run_compiled(_resample_pixels, rng, settings, x, *run_compiled(_pixel_positions, rng, settings, x))
    return run_compiled(_resample_lines, rng, settings, x, run_compiled(_line_positions, rng, settings, x))


def _affine(rng: PerSampleRng, settings: Augment, side: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Return matrices (n, 2, 2) and shifts (n, 2) from output to input pixels, (row, column), about the middle."""
    import tensorflow as tf

    turn = rng.uniform("rotate", -1, 1)[:, 0] * math.radians(settings.rotate)
    grow = math.log1p(settings.scale)
    kept = 1 - rng.uniform("crop")[:, 0] * settings.crop
    zoom = tf.exp(rng.uniform("scale", -grow, grow)[:, 0]) * kept
    slant = rng.uniform("shear", -settings.shear, settings.shear)[:, 0]
    cosine, sine = tf.cos(turn) * zoom, tf.sin(turn) * zoom
    matrix = tf.stack([slant * sine + cosine, sine, slant * cosine - sine, cosine], axis=1)
    matrix = tf.reshape(matrix, [-1, 2, 2])
    free = settings.shift + (1 - kept) / 2  # a crop may be anywhere in its field
    shift = rng.uniform("shift", -1, 1, each=2) * free[:, None] * side
    middle = (side - 1) / 2
    return matrix, shift + middle - tf.reduce_sum(matrix, axis=2) * middle


def _line_positions(x: tf.Tensor, rng: PerSampleRng, settings: Augment) -> tf.Tensor:
    """Return the input position of each output row and column, (n, 2, side)."""
    import tensorflow as tf

    matrix, moved = _affine(rng, settings, x.shape[1])
    return tf.linalg.diag_part(matrix)[..., None] * tf.range(x.shape[1], dtype=tf.float32) + moved[..., None]


def _resample_lines(x: tf.Tensor, at: tf.Tensor, rng: PerSampleRng, settings: Augment) -> tf.Tensor:
    """Resample rows, then columns, at `_line_positions`: two means of two pixels, half the cost of one of four."""
    import tensorflow as tf

    for axis in (0, 1):
        x = tf.transpose(_rows(x, at[:, axis]), [0, 2, 1, 3])
    return x


def _pixel_positions(x: tf.Tensor, rng: PerSampleRng, settings: Augment) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return the input position of each output pixel.

    Args:
        x: (n, side, side, c).
        rng: The random generators of the samples.
        settings: The `[augment]` table.

    Returns:
        Number of the pixel above and left of it, (n, side × side), and the shares of those below and to the right.
    """
    import tensorflow as tf

    side = x.shape[1]
    matrix, moved = _affine(rng, settings, side)
    at = tf.range(side, dtype=tf.float32)
    positions = matrix[..., 0, None, None] * at[:, None] + matrix[..., 1, None, None] * at + moved[..., None, None]
    if settings.elastic:
        most = settings.elastic * side
        knots = tf.reshape(rng.uniform("elastic", -most, most, each=2 * _KNOTS**2), [-1, 2, _KNOTS, _KNOTS])
        smooth = tf.constant(_between_knots(side))
        positions += tf.einsum("yk,npkl,xl->npyx", smooth, knots, smooth)
    low, share = _split(tf.reshape(positions, [-1, 2, side * side]), side)
    return low[:, 0] * side + low[:, 1], share[:, 0], share[:, 1]


def _between_knots(side: int) -> np.ndarray:
    """Return (side, knots) of float32: each knot's weight at each pixel, Keys' cubic convolution (1981), a = -1/2."""
    at = (np.arange(side) + 0.5) / side * _KNOTS - 0.5
    far = np.abs(at[:, None] - np.arange(_KNOTS))
    near = np.where(
        far < 1, (1.5 * far - 2.5) * far**2 + 1, np.where(far < 2, ((2.5 - far / 2) * far - 4) * far + 2, 0)
    )
    return np.asarray(near / near.sum(axis=1, keepdims=True), np.float32)


def _rows(x: tf.Tensor, at: tf.Tensor) -> tf.Tensor:
    """Return rows of (n, side, side, 4) at (n, side), interpolated linearly."""
    import tensorflow as tf

    side = x.shape[1]
    flat = tf.reshape(x, [-1, side, side * x.shape[3]])
    low, share = _split(at, side)
    above, below = (tf.gather(flat, low + row, axis=1, batch_dims=1) for row in (0, 1))
    return tf.reshape(above + share[..., None] * (below - above), tf.shape(x))


def _resample_pixels(
    x: tf.Tensor, first: tf.Tensor, down: tf.Tensor, right: tf.Tensor, rng: PerSampleRng, settings: Augment
) -> tf.Tensor:
    """Return (n, side, side, c) interpolated between four pixels each, at `_pixel_positions`."""
    import tensorflow as tf

    side = x.shape[1]
    flat = tf.reshape(x, [-1, side * side, x.shape[3]])
    one, two, three, four = (tf.gather(flat, first + step, axis=1, batch_dims=1) for step in (0, 1, side, side + 1))
    above, below = (near + right[..., None] * (far - near) for near, far in ((one, two), (three, four)))
    return tf.reshape(above + down[..., None] * (below - above), tf.shape(x))


def _split(at: tf.Tensor, side: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Split positions, mirrored at the edges, into the pixel before (at most side − 2) and the share of the next."""
    import tensorflow as tf

    turns = (at + 0.5) / (2 * side)
    folded = tf.clip_by_value(tf.abs(turns - tf.round(turns)) * (2 * side) - 0.5, 0, side - 1)
    low = tf.minimum(tf.floor(folded), side - 2)
    return tf.cast(low, tf.int32), folded - low


def _mirror(at: tf.Tensor, side: int) -> tf.Tensor:
    """Mirror whole positions from −side to 2 side − 1 into 0…side − 1, with edge pixels repeated."""
    import tensorflow as tf

    inside = tf.maximum(at, -1 - at)
    return tf.minimum(inside, 2 * side - 1 - inside)
