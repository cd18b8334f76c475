"""The measures of a field: what they are for known pictures, and which are missing."""

from __future__ import annotations

import numpy as np
import pytest

from lociscope.images.appearance import APPEARANCE, PER_PLANE, measure_appearance, measure_tiles

AT = {name: row for row, name in enumerate(APPEARANCE)}


def discs(side: int = 256, number: int = 4, radius: float = 12) -> np.ndarray:
    """White discs on black in all channels: number² of them."""
    y, x = np.mgrid[:side, :side] % (side // number) - side / number / 2 + 0.5
    return np.repeat((255 * (np.hypot(y, x) < radius)).astype(np.uint8)[..., None], 4, axis=-1)


def test_nuclei_are_counted_and_round() -> None:
    found = measure_appearance(discs())
    assert np.exp(found[AT["NucleiNumber"]]) == pytest.approx(16)
    assert np.exp(found[AT["NucleiArea"]]) == pytest.approx(np.pi * 6**2, rel=0.25)  # px of 1.28 µm, smoothed
    assert found[AT["NucleiRoundness"]] == pytest.approx(0, abs=0.2)
    assert found[AT["NucleiShare"]] == pytest.approx(16 * np.pi * 6**2 / 128**2, rel=0.25)
    assert found[AT["Coarse_red_green"]] == pytest.approx(1, abs=1e-4)


def test_cytoplasm_around_nuclei() -> None:
    pixels = discs()
    pixels[..., 0] = discs(radius=24)[..., 0] - pixels[..., 0]  # a ring around each
    found = measure_appearance(pixels)
    assert found[AT["WithinNuclei_red"]] < -1
    assert found[AT["OutsideNuclei_red"]] < -1
    assert found[AT["WithinNuclei_yellow"]] > 1


def test_stripes_have_a_direction_and_a_peak_and_noise_has_none() -> None:
    stripes = np.repeat((255 * (np.arange(256) // 8 % 2)).astype(np.uint8)[None, :, None], 256, axis=0).repeat(
        4, axis=2
    )
    noise = np.random.default_rng(0).integers(0, 255, (256, 256, 4)).astype(np.uint8)
    striped, noisy = measure_appearance(stripes), measure_appearance(noise)
    assert striped[AT["Direction_green"]] == pytest.approx(0, abs=0.05)  # the logarithm of 1
    assert noisy[AT["Direction_green"]] < -2.5
    assert striped[AT["Peak_green"]] > noisy[AT["Peak_green"]] + 1
    assert abs(noisy[AT["Fine_red_green"]]) < 0.1


def test_turned_and_mirrored_fields_measure_the_same() -> None:
    pixels = discs(number=5, radius=9)
    pixels[:128, :, 1] //= 2
    found = measure_appearance(pixels)
    np.testing.assert_allclose(measure_appearance(np.ascontiguousarray(pixels.transpose(1, 0, 2))), found, atol=0.03)


def test_an_empty_channel_has_no_measures() -> None:
    pixels = discs()
    pixels[..., 3] = 0
    found = measure_appearance(pixels)
    missing = {name for name in APPEARANCE if np.isnan(found[AT[name]])}
    assert missing == {name for name in APPEARANCE if "yellow" in name}
    assert np.isnan(measure_appearance(np.zeros((256, 256, 4), np.uint8))).all()
    assert np.isnan(measure_appearance(np.full((256, 256, 4), 255, np.uint8))).all()


def test_the_mean_of_tiles_counts_what_is_there() -> None:
    one, other = discs(), discs(number=2)
    other[..., 0] = 0
    found = measure_tiles(np.stack([one, other]))
    each = np.stack([measure_appearance(one), measure_appearance(other)])
    np.testing.assert_allclose(found[: len(PER_PLANE)], each[0, : len(PER_PLANE)])
    blue = AT["Mean_blue"]
    np.testing.assert_allclose(found[blue], each[:, blue].mean(), rtol=1e-5)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("side", [64, 128, 256, 384, 512])
def test_sizes_agree(side: int) -> None:
    found = measure_appearance(discs(side, radius=12 * side / 256))
    assert np.isfinite(found).all()
    assert np.exp(found[AT["NucleiNumber"]]) == pytest.approx(16, rel=0.01)
