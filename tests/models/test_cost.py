"""Multiply-accumulates against sums done by hand."""

from __future__ import annotations

import keras
import pytest
from keras import layers

from lociscope.models.cost import Cost, count_macs
from lociscope.models.lenet5 import lenet5_published


def alexnet(groups: int) -> keras.Model:
    """The eight layers of 2012 as the paper gives them, without normalisation and dropout, all zero."""
    zero = {"kernel_initializer": "zeros"}
    inputs = layers.Input((227, 227, 3))
    x = layers.MaxPooling2D(3, 2)(layers.Conv2D(96, 11, 4, **zero)(inputs))
    x = layers.MaxPooling2D(3, 2)(layers.Conv2D(256, 5, padding="same", groups=groups, **zero)(x))
    x = layers.Conv2D(384, 3, padding="same", **zero)(x)
    x = layers.Conv2D(384, 3, padding="same", groups=groups, **zero)(x)
    x = layers.MaxPooling2D(3, 2)(layers.Conv2D(256, 3, padding="same", groups=groups, **zero)(x))
    x = layers.Flatten()(x)
    for width in (4096, 4096, 1000):
        x = layers.Dense(width, **zero)(x)
    return keras.Model(inputs, x)


def test_lenet5_of_1998_on_a_digit() -> None:
    c1, c3 = 28 * 28 * 6 * 25, 10 * 10 * (6 * 3 + 9 * 4 + 6) * 25  # table I: 60 connections of C3
    c5, f6 = 120 * 16 * 25, 84 * 120
    assert c1 + c3 + c5 + f6 == 325_680
    assert count_macs(lenet5_published()) == 325_680


@pytest.mark.parametrize(("groups", "expected"), [(2, 724_406_816), (1, 1_135_256_096)])
def test_alexnet_of_2012_grouped_and_not(groups: int, expected: int) -> None:
    grouped = 27**2 * 256 * 5 * 5 * 96 + 13**2 * (384 * 9 * 384 + 256 * 9 * 384)
    whole = 55**2 * 96 * 11 * 11 * 3 + 13**2 * 384 * 9 * 256 + 9216 * 4096 + 4096 * 4096 + 4096 * 1000
    assert whole + grouped // groups == expected
    network = alexnet(groups)
    assert network.count_params() == {2: 60_965_224, 1: 62_378_344}[groups]
    assert count_macs(network) == expected


def test_depthwise_separable_and_transposed_convolutions() -> None:
    inputs = layers.Input((16, 16, 4))
    x = layers.DepthwiseConv2D(3, 2, padding="same", depth_multiplier=2)(inputs)  # 8 × 8 × 8
    x = layers.SeparableConv2D(10, 3, padding="same")(x)
    x = layers.Conv2DTranspose(5, 2, 2)(x)
    depthwise, separable, transposed = 64 * 9 * 8, 64 * (9 * 8 + 8 * 10), 64 * 4 * 5 * 10
    assert count_macs(keras.Model(inputs, x)) == depthwise + separable + transposed


def test_nested_and_shared_layers_count_as_often_as_they_are_applied() -> None:
    inner = keras.Sequential([layers.Input((8, 8, 4)), layers.Conv2D(4, 3, padding="same")])
    dense = layers.Dense(4)
    inputs = layers.Input((8, 8, 4))
    outputs = dense(dense(inner(inner(inputs))))
    assert count_macs(keras.Model(inputs, outputs)) == 2 * 64 * 9 * 16 + 2 * 64 * 16


def test_a_size_that_is_not_fixed_has_no_count() -> None:
    inputs = layers.Input((None, None, 4))
    assert count_macs(keras.Model(inputs, layers.Conv2D(2, 3)(inputs))) is None


def test_the_record_is_read_as_it_was_written() -> None:
    cost = Cost(network="ab", macs=3, latency_ms=1.5, where="here")
    assert Cost.model_validate_json(cost.model_dump_json(by_alias=True)) == cost
