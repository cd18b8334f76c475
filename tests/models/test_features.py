"""The heads of the features recipe."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from lociscope.decide.feature_model import FeatureModel, standardize
from lociscope.errors import LociscopeError, UsageError
from lociscope.images.segmentation.features import FEATURES
from lociscope.models.features import UNSEEN, fit_model, hide_stains, read_options

if TYPE_CHECKING:
    from pathlib import Path

N = len(FEATURES)


def data(n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(n, N)).astype(np.float32)
    y = np.zeros((n, 28), np.uint8)
    y[:, 0] = x[:, 0] > 0
    y[:, 7] = x[:, 1] + x[:, 2] > 1
    return x, y


@pytest.mark.parametrize("head", ["linear", "boosting", "both"])
def test_a_model_learns_and_comes_back_from_disk(head: str, tmp_path: Path) -> None:
    x, y = data()
    reports: list[str] = []
    model = fit_model(x, y, read_options({"head": head, "trees": 10}), 0, lambda _, text: reports.append(text))
    assert len(reports) == 28 * (1 + (head == "both"))
    p = model.predict(x)
    assert p.shape == (len(x), 28)
    assert ((p[:, 0] > 0.5) == (y[:, 0] > 0)).mean() > 0.9
    model.write(tmp_path / "best.npz")
    np.testing.assert_array_equal(FeatureModel.read(tmp_path / "best.npz").predict(x), p)


def test_what_is_unknown_is_the_mean() -> None:
    x, y = data()
    model = fit_model(x, y, read_options({"head": "linear", "blind": 0.0}))
    unknown = model.predict(np.full((1, N), np.nan))
    np.testing.assert_allclose(unknown, model.predict(model.mean[None]))
    assert np.abs(standardize(np.full((1, N), 1e9), model.mean, model.spread)).max() == 3


def test_stains_are_hidden_whole() -> None:
    made = hide_stains(np.zeros((400, N)), 0.25, 3)
    for words in UNSEEN.values():
        columns = [any(word in name for word in words) for name in FEATURES]
        share = np.isnan(made[:, columns])
        assert 0.15 < share.all(axis=1).mean() < 0.5
    assert not np.isnan(made[:, FEATURES.index("share.nucleus.mean")]).any()


def test_a_feature_that_is_never_known_does_no_harm() -> None:
    x, y = data()
    x[:, 5] = np.nan
    assert np.isfinite(fit_model(x, y, read_options({"trees": 5})).predict(x)).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"hed": "linear"}, "Did you mean 'head'"),
        ({"head": "tree"}, "head"),
        ({"trees": 0}, "trees"),
        ({"blind": 1.0}, "blind"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_options(options)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "best.npz"
    with pytest.raises(LociscopeError, match="Cannot read"):
        FeatureModel.read(path)
    path.write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(LociscopeError, match="damaged"):
        FeatureModel.read(path)
    np.savez(path, schema=1, features=np.array(["other"]))
    with pytest.raises(LociscopeError, match="other features"):
        FeatureModel.read(path)
    np.savez(path, schema=9, features=np.array(FEATURES))
    with pytest.raises(LociscopeError, match="newer"):
        FeatureModel.read(path)
    np.savez(path, schema=1, features=np.array(FEATURES), mean=np.zeros(3))
    with pytest.raises(LociscopeError, match="damaged"):
        FeatureModel.read(path)
    np.savez(path, schema=1, features=np.array(FEATURES), mean=np.array([{}], object))
    with pytest.raises(LociscopeError, match="damaged"):
        FeatureModel.read(path)
