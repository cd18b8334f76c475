"""Where the pixels lie: symmetries, and one resampling for all that is left."""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

    from lociscope.data.draws import Draws
    from lociscope.recipe import Augment

_KNOTS = 5
"""An elastic deformation is smooth between 5 × 5 knots: about one for each cell of a field."""


def place(x: "tf.Tensor", draws: "Draws", settings: "Augment") -> "tf.Tensor":
    """Flips and shifts each field by whole pixels: nothing is resampled.

    Args:
        x: (n, side, side, 4) of uint8; a pixel moves as one number of four bytes, twenty times faster than as floats.
        draws: The fields' random numbers.
        settings: `flip` is one of the eight symmetries of the square; `shift` is left to `warp` where that is called.

    Returns:
        Of the same shape and type; what comes in at the edge is the field mirrored.
    """
    import tensorflow as tf

    shifts = bool(settings.shift) and not warps(settings)
    if not settings.flip and not shifts:
        return x
    side = x.shape[1]
    rows = columns = tf.range(side)[None]
    if shifts:
        moved = tf.cast(tf.round(draws.uniform("shift", -1, 1, each=2) * settings.shift * side), tf.int32)
        rows, columns = _mirrored(rows + moved[:, :1], side), _mirrored(columns + moved[:, 1:], side)
    places = rows[:, :, None] * side + columns[:, None]
    if settings.flip:
        coins = tf.transpose(draws.uniform("flip", each=3) < 0.5)[:, :, None]
        rows, columns = tf.where(coins[0], side - 1 - rows, rows), tf.where(coins[1], side - 1 - columns, columns)
        turned = rows[:, None] * side + columns[:, :, None]
        places = tf.where(coins[2][:, None], turned, rows[:, :, None] * side + columns[:, None])
    pixels = tf.reshape(tf.bitcast(x, tf.int32), [-1, side * side])
    found = tf.gather(pixels, tf.reshape(places, [-1, side * side]), axis=1, batch_dims=1)
    return tf.bitcast(tf.reshape(found, [-1, side, side]), tf.uint8)


def warps(settings: "Augment") -> bool:
    """Whether a recipe asks for anything that moves pixels off their grid."""
    return any((settings.rotate, settings.scale, settings.shear, settings.crop, settings.elastic))


def warp(x: "tf.Tensor", draws: "Draws", settings: "Augment") -> "tf.Tensor":
    """Shifts, turns, scales, shears, crops and bends each field, in one resampling.

    What comes in at the edge is the field mirrored, so that no cell ends in black.

    Args:
        x: (n, h, w, 4).
        draws: The fields' random numbers.
        settings: The `[augment]` table.

    Returns:
        Of the same shape.
    """
    import tensorflow as tf

    matrix, moved = _affine(draws, settings, x.shape[1])
    if settings.elastic:
        return _bent(x, matrix, moved, draws, settings.elastic)
    rows = tf.concat([matrix, moved[:, :, None]], axis=2)  # (n, 2, 3): output pixel (column, row) → input pixel
    flat = tf.concat([tf.reshape(rows, [-1, 6]), tf.zeros([tf.shape(x)[0], 2])], axis=1)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=x,
        transforms=flat,
        output_shape=x.shape[1:3],
        interpolation="BILINEAR",
        fill_mode="REFLECT",
        fill_value=0.0,
    )


def _affine(draws: "Draws", settings: "Augment", side: int) -> "tuple[tf.Tensor, tf.Tensor]":
    """Matrices (n, 2, 2) and shifts (n, 2) from output to input pixels, (column, row), about the middle."""
    import tensorflow as tf

    turn = draws.uniform("rotate", -1, 1)[:, 0] * math.radians(settings.rotate)
    grow = math.log1p(settings.scale)
    kept = 1 - draws.uniform("crop")[:, 0] * settings.crop
    zoom = tf.exp(draws.uniform("scale", -grow, grow)[:, 0]) * kept
    slant = draws.uniform("shear", -settings.shear, settings.shear)[:, 0]
    cosine, sine = tf.cos(turn) * zoom, tf.sin(turn) * zoom
    matrix = tf.stack([cosine, slant * cosine - sine, sine, slant * sine + cosine], axis=1)
    matrix = tf.reshape(matrix, [-1, 2, 2])
    free = settings.shift + (1 - kept) / 2  # a crop lies anywhere in its field
    shift = draws.uniform("shift", -1, 1, each=2) * free[:, None] * side
    middle = (side - 1) / 2
    return matrix, shift + middle - tf.reduce_sum(matrix, axis=2) * middle


def _bent(x: "tf.Tensor", matrix: "tf.Tensor", moved: "tf.Tensor", draws: "Draws", most: float) -> "tf.Tensor":
    """The affine map with a smooth displacement added, sampled bilinearly."""
    import tensorflow as tf

    side = x.shape[1]
    knots = draws.uniform("elastic", -most * side, most * side, each=2 * _KNOTS**2)
    bend = tf.image.resize(tf.reshape(knots, [-1, _KNOTS, _KNOTS, 2]), x.shape[1:3], "bicubic")
    grid = tf.cast(tf.stack(tf.meshgrid(tf.range(side), tf.range(side)), axis=-1), tf.float32)  # (h, w, (column, row))
    at = tf.einsum("nij,hwj->nhwi", matrix, grid) + moved[:, None, None] + bend
    return _sampled(x, at)


def _sampled(x: "tf.Tensor", at: "tf.Tensor") -> "tf.Tensor":
    """Values of (n, h, w, c) at (n, h, w, (column, row)), bilinear, the field mirrored outside."""
    import tensorflow as tf

    side = x.shape[1]
    flat = tf.reshape(x, [-1, side * side, x.shape[3]])
    first = tf.floor(at)
    share = at - first
    low = tf.cast(first, tf.int32)
    total = tf.zeros_like(x)
    for row in (0, 1):
        for column in (0, 1):
            place = _mirrored(low[..., 1] + row, side) * side + _mirrored(low[..., 0] + column, side)
            near = (share[..., 0] if column else 1 - share[..., 0]) * (share[..., 1] if row else 1 - share[..., 1])
            found = tf.gather(flat, tf.reshape(place, [-1, side * side]), axis=1, batch_dims=1)
            total += near[..., None] * tf.reshape(found, tf.shape(x))
    return total


def _mirrored(at: "tf.Tensor", side: int) -> "tf.Tensor":
    """Positions folded into 0…side − 1, edge pixels repeated."""
    import tensorflow as tf

    folded = at % (2 * side)
    return tf.minimum(folded, 2 * side - 1 - folded)
