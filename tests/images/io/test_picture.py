"""The limits that every decoder keeps."""

from __future__ import annotations

import pytest

from lociscope.errors import LociscopeError
from lociscope.images.io.picture import MAX_BYTES, MAX_PIXELS, check_bytes, check_size, damaged_file_error


def test_limits_are_the_last_that_pass() -> None:
    check_size(8192, MAX_PIXELS // 8192, "a")
    check_bytes(MAX_BYTES, "a")
    check_bytes(4 * 2 * MAX_PIXELS, "a")
    with pytest.raises(LociscopeError, match="'a' claims 8193 × 8192 pixels"):
        check_size(8193, 8192, "a")
    with pytest.raises(LociscopeError, match="'a' has more than the 513 MiB"):
        check_bytes(MAX_BYTES + 1, "a")


def test_the_damage_error_repeats_the_decoder() -> None:
    assert str(damaged_file_error("a", ValueError("odd"))) == "'a' is damaged or truncated (odd). Copy it again."
    assert str(damaged_file_error("a")) == "'a' is damaged or truncated. Copy it again."
