"""What a batch refuses before any work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lociscope.errors import Code, UsageError
from lociscope.workflows.predict import predict_files

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("option", [{"cells": True}, {"explain": "pictures"}])
def test_cells_and_pictures_need_an_output_here(tmp_path: Path, option: dict[str, object]) -> None:
    with pytest.raises(UsageError) as caught:
        predict_files(tmp_path, "memory://bucket/out.parquet", **option)  # type: ignore[arg-type]
    assert caught.value.code == Code.INVALID_VALUE
