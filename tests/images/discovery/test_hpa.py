"""Where a field was taken, by its name."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pytest

from lociscope.images.discovery.hpa import parse_origin

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("identifier", "said"),
    [
        ("10580_1610_C1_1", {"antibody": "10580", "plate": "1610", "well": "C1", "site": "1"}),
        ("10580_1610_C1_1_2", {"antibody": "10580", "plate": "1610", "well": "C1", "site": "1"}),
        ("63683_si35_H1_11", {"antibody": "63683", "plate": "si35", "well": "H1", "site": "11"}),
        ("800_A6_1", {"plate": "800", "well": "A6", "site": "1"}),
        ("image--U01--V00", {"well": "A02"}),
        (
            "image--L0000--S00--U23--V15--J08--E02--O00--X00--Y01--T0000--Z00",
            {"well": "P24", "site": "J08--E02--O00--X00--Y01--T0000--Z00"},
        ),
        ("image--U00--V27--E00", {"well": "AB01", "site": "E00"}),
        ("000a6c98-bb9b-11e8-b2b9-ac1f6b6435d0", {}),
        ("a1", {}),
        ("1_2_3", {}),
    ],
)
def test_names(identifier: str, said: dict[str, str]) -> None:
    assert parse_origin(identifier) == said


def test_every_name_of_version_18(real_data: Path) -> None:
    with (real_data / "tables" / "hpa_v18_without_uncertain.csv").open(newline="") as lines:
        told = [parse_origin(row["Id"]) for row in csv.DictReader(lines)]
    assert len(told) == 71_437
    assert all(set(each) == {"antibody", "plate", "well", "site"} for each in told)
    assert len({each["antibody"] for each in told}) == 12_241
