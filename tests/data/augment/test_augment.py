"""Augmentation: without state, and never more than it says."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from lociscope.artifacts.recipe import Augment
from lociscope.data.augment import augment
from lociscope.data.augment.geometry import warp
from lociscope.data.augment.mixing import mix
from lociscope.data.pipeline.sample_random import PerSampleRng
from lociscope.labels import N_LABELS

NOTHING = {key: False if key == "flip" else 0 for key in Augment.model_fields}
EVERYTHING = {
    "flip": True, "shift": 0.2, "rotate": 180.0, "scale": 0.3, "shear": 0.1, "crop": 0.3, "elastic": 0.02, "gain": 0.3,
    "offset": 0.05, "gamma": 0.5, "blur": 1.0, "noise": 0.05, "hot_pixels": 20, "channel_dropout": 0.5,
    "red_dropout": 0.2, "blue_dropout": 0.2,
}  # fmt: skip
MIXING = {"mixup", "cutmix"}


def chosen(**settings: object) -> Augment:
    return Augment.model_validate(NOTHING | settings)


def sample_rng(seed: int = 0, epoch: int = 0, n: int = 6, first: int = 0) -> PerSampleRng:
    return PerSampleRng(seed, tf.constant(epoch, tf.int64), tf.range(first, first + n, dtype=tf.int64))


def augmented(x: np.ndarray, numbers: PerSampleRng, **settings: object) -> np.ndarray:
    """Pixels in 0–1, by way of bytes; step by step, where the pipeline compiles the steps."""
    pixels = tf.constant(np.rint(x * 255).astype(np.uint8))
    return np.asarray(augment(pixels, tf.zeros([len(x), N_LABELS], tf.uint8), numbers, chosen(**settings))[0])


def batch(side: int = 16) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, side, side, 4)).astype(np.float32) / np.float32(255)


def test_every_setting_is_tried_here() -> None:
    assert {*EVERYTHING, *MIXING} == {*Augment.model_fields}


def test_off_is_off() -> None:
    np.testing.assert_array_equal(augmented(batch(), sample_rng()), batch())


def test_a_pure_function_of_seed_epoch_and_index() -> None:
    once = augmented(batch(), sample_rng(3, 7), **EVERYTHING)
    np.testing.assert_array_equal(once, augmented(batch(), sample_rng(3, 7), **EVERYTHING))
    assert not np.array_equal(once, augmented(batch(), sample_rng(3, 8), **EVERYTHING))
    assert not np.array_equal(once, augmented(batch(), sample_rng(4, 7), **EVERYTHING))
    assert once.min() >= 0
    assert once.max() <= 1


def test_a_field_does_not_depend_on_its_batch() -> None:
    together = augmented(batch(), sample_rng(), **EVERYTHING)
    alone = np.concatenate([augmented(batch()[[row]], sample_rng(n=1, first=row), **EVERYTHING) for row in range(6)])
    np.testing.assert_allclose(alone, together, atol=1e-5)


@pytest.mark.parametrize("setting", EVERYTHING)
def test_each_setting_changes_something_alone(setting: str) -> None:
    assert not np.array_equal(augmented(batch(64), sample_rng(), **{setting: EVERYTHING[setting]}), batch(64))


def test_hot_pixels_are_few_and_differ_by_channel() -> None:
    grey = np.full((6, 32, 32, 4), 0.6, np.float32)
    changed = augmented(grey, sample_rng(), hot_pixels=20) != augmented(grey, sample_rng())
    counts = changed.sum(axis=(1, 2))
    assert counts.max() <= 20
    assert counts.min() < 10 < counts.max()


def test_flips_are_the_eight_symmetries() -> None:
    x = batch()[:1]
    seen = {augmented(x, sample_rng(epoch=epoch, n=1), flip=True).tobytes() for epoch in range(60)}
    square = [np.rot90(x, turns, (1, 2)) for turns in range(4)]
    symmetries = {np.ascontiguousarray(each).tobytes() for each in (*square, *(each[:, :, ::-1] for each in square))}
    assert seen == symmetries


def test_a_shift_is_of_whole_pixels_and_mirrors() -> None:
    moved = augmented(batch(), sample_rng(), shift=0.25)
    assert not np.array_equal(moved, batch())
    for before, after in zip(batch(), moved, strict=True):
        assert np.isclose(after[..., 0].ravel()[:, None], before[..., 0].ravel(), atol=1e-6).any(axis=1).all()


@pytest.mark.slow
def test_compiled_steps_do_the_same() -> None:
    pixels = np.rint(batch(32) * 255).astype(np.uint8)
    labels = np.eye(6, N_LABELS, dtype=np.uint8)
    settings = chosen(**EVERYTHING, mixup=0.5, cutmix=0.5)

    def both(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        numbers = PerSampleRng(0, tf.constant(0, tf.int64), index)
        return augment(tf.constant(pixels), tf.constant(labels), numbers, settings, (pixels[::-1], labels[::-1]))

    index = tf.range(6, dtype=tf.int64)
    stream = tf.data.Dataset.from_tensors(index).map(both)  # where the pipeline runs it
    for made, wanted in zip(next(iter(stream)), both(index), strict=True):
        np.testing.assert_allclose(made, wanted, atol=2e-5)


@pytest.mark.parametrize("more", [{}, {"rotate": 1e-6}, {"elastic": 1e-9}])
def test_the_three_ways_of_resampling_agree(more: dict[str, float]) -> None:
    settings = {"shift": 0.4, "scale": 0.8, "crop": 0.2}
    straight = augmented(batch(64), sample_rng(), **settings)
    np.testing.assert_allclose(augmented(batch(64), sample_rng(), **settings, **more), straight, atol=1e-4)


def test_resampling_is_bilinear_and_mirrors() -> None:
    settings = chosen(rotate=180.0, scale=1.0, shear=0.5, crop=0.3, shift=0.5)
    ramps = np.stack(np.meshgrid(*[np.arange(32.0)] * 2, indexing="ij"), axis=-1)
    ends = np.zeros((6, 32, 32, 4), np.float32)
    ends[..., :2] = ramps  # says of each pixel where it came from, but at the edge
    numbers = sample_rng()
    at = np.asarray(warp(tf.constant(ends), numbers, settings))[..., :2]
    pixels = batch(32)
    made = np.asarray(warp(tf.constant(pixels), numbers, settings))
    for row in range(6):
        wanted = ndimage.map_coordinates(pixels[row, ..., 0], np.moveaxis(at[row], -1, 0), order=1, mode="nearest")
        np.testing.assert_allclose(made[row, ..., 0], wanted, atol=1e-4)
    assert len(np.unique(at.round(3))) > 1000


def test_a_larger_scale_shows_more_of_the_field() -> None:
    x = np.zeros((6, 64, 64, 4), np.float32)
    x[:, 24:40, 24:40] = 1
    areas = augmented(x, sample_rng(), scale=1.0).mean(axis=(1, 2, 3)) / x.mean()
    assert 0.24 < areas.min() < 0.8
    assert 1.3 < areas.max() < 4.1


def test_a_crop_only_enlarges() -> None:
    x = np.zeros((6, 64, 64, 4), np.float32)
    x[:, ::8] = 1  # stripes: fewer of them are left
    changes = np.abs(np.diff(augmented(x, sample_rng(), crop=0.5)[:, :, 32, 0], axis=1)).sum(axis=1)
    assert (changes <= 16).all()
    assert changes.min() < 12


def test_gain_is_one_factor_a_channel() -> None:
    x = np.full((6, 16, 16, 4), 100 / 255, np.float32)
    factors = augmented(x, sample_rng(epoch=2), gain=0.2) / x
    assert np.ptp(factors, axis=(1, 2)).max() < 1e-3
    assert 0.8 <= factors.min() < factors.max() <= 1.2


def test_gamma_keeps_black_white_and_order() -> None:
    ramp = np.broadcast_to(np.linspace(0, 1, 16, dtype=np.float32)[:, None, None], (6, 16, 16, 4)).copy()
    bent = augmented(ramp, sample_rng(), gamma=1.0)
    assert (bent[:, 0] == 0).all()
    assert np.allclose(bent[:, -1], 1)
    assert (np.diff(bent, axis=1) >= 0).all()


def test_noise_has_the_sampled_deviation() -> None:
    grey = np.full((6, 64, 64, 4), 0.5, np.float32)
    deviations = augmented(grey, sample_rng(), noise=0.05).std(axis=(1, 2))
    levels = np.asarray(sample_rng().uniform("noise level", 0, 0.05, each=4))
    np.testing.assert_allclose(deviations, levels, rtol=0.05)


def test_blur_lowers_contrast_and_keeps_the_mean() -> None:
    blurred = augmented(batch(64), sample_rng(), blur=1.0)
    assert (blurred.std(axis=(1, 2)) < batch(64).std(axis=(1, 2))).all()
    np.testing.assert_allclose(blurred.mean(axis=(1, 2)), batch(64).mean(axis=(1, 2)), rtol=0.01)


@pytest.mark.parametrize(("setting", "channel"), [("channel_dropout", 3), ("red_dropout", 0), ("blue_dropout", 2)])
def test_a_channel_is_dropped_alone(setting: str, channel: int) -> None:
    dropped = augmented(batch(), sample_rng(), **{setting: 1.0})
    assert not dropped[..., channel].any()
    others = [each for each in range(4) if each != channel]
    np.testing.assert_array_equal(dropped[..., others], batch()[..., others])


def mixed(**settings: object) -> tuple[np.ndarray, np.ndarray]:
    """Black fields of class 0 with white partners of class 1."""
    x, y = tf.zeros((200, 16, 16, 4)), tf.one_hot([0] * 200, N_LABELS)
    made = mix(x, y, 1 - x, tf.one_hot([1] * 200, N_LABELS), sample_rng(n=200), chosen(**settings))
    return np.asarray(made[0]), np.asarray(made[1])


def test_mixup_labels_weigh_as_the_pixels_do() -> None:
    x, y = mixed(mixup=0.5)
    np.testing.assert_allclose(x, np.broadcast_to(y[:, 1, None, None, None], x.shape), atol=1e-6)
    np.testing.assert_allclose(y[:, 0] + y[:, 1], 1, atol=1e-6)
    assert 0.35 < (y[:, 1] > 0).mean() < 0.65
    assert y[:, 1].max() <= 0.5


def test_cutmix_pastes_one_square_and_labels_its_area() -> None:
    x, y = mixed(cutmix=1.0)
    assert set(np.unique(x)) == {0.0, 1.0}
    np.testing.assert_allclose(x.mean(axis=(1, 2, 3)), y[:, 1], atol=1e-6)
    filled = x[..., 0].any(axis=2).sum(axis=1) * x[..., 0].any(axis=1).sum(axis=1)
    np.testing.assert_array_equal(filled, x[..., 0].sum(axis=(1, 2)))


def test_mixing_off_is_off() -> None:
    x, y = mixed()
    assert not x.any()
    assert not y[:, 1].any()
