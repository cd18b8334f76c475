"""What a table of predictions is checked for before any work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import lociscope
from lociscope.errors import Code, UsageError
from lociscope.workflows.submission import check_table


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("out.csv", {}),
        ("out.parquet", {"embeddings": True}),
        ("out.csv", {"kaggle": True, "sample_submission": Path("sample.csv")}),
    ],
)
def test_tables_that_can_be_written(name: str, options: dict[str, Any]) -> None:
    check_table(Path(name), **options)


@pytest.mark.parametrize(
    ("name", "options", "code"),
    [
        ("out.txt", {}, Code.UNSUPPORTED_FORMAT),
        ("out", {}, Code.UNSUPPORTED_FORMAT),
        ("out.csv", {"embeddings": True}, Code.UNSUPPORTED_FORMAT),
        ("out.parquet", {"kaggle": True}, Code.UNSUPPORTED_FORMAT),
        ("out.csv", {"embeddings": True, "kaggle": True}, Code.UNSUPPORTED_FORMAT),
        ("out.csv", {"sample_submission": Path("sample.csv")}, Code.INVALID_VALUE),
    ],
)
def test_tables_that_are_refused(name: str, options: dict[str, Any], code: Code) -> None:
    with pytest.raises(UsageError) as caught:
        check_table(Path(name), **options)
    assert caught.value.code is code


def test_python_callers_are_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"expected \.csv"):
        lociscope.predict_files("nowhere", tmp_path / "out.parquet", kaggle=True)
    with pytest.raises(UsageError, match=r"expected \.parquet"):
        lociscope.predict_files("nowhere", tmp_path / "out.csv", embeddings=True)
    with pytest.raises(UsageError, match="Add `kaggle`"):
        lociscope.apply_ensemble("nowhere", [], tmp_path / "out.csv", sample_submission="sample.csv")
