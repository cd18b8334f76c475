from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lociscope.artifacts.bundle import read_bundle
from lociscope.errors import UsageError
from lociscope.microscope.configuration import check_bundle, check_setup, choose_objective, read_setup

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """# a comment, with commas
Device,Camera,DemoCamera,DCam
ConfigGroup,Channel,DAPI,Dichroic,Label,400DCLP
ConfigGroup,Channel,FITC,Dichroic,Label,Q505LP
ConfigGroup,Channel,Cy3,Dichroic,Label,Q585LP
ConfigGroup,Channel,Cy5,Dichroic,Label,Q660LP
Label,Turret,0,Plan 10x
Label,Turret,1,Plan 20x
ConfigPixelSize,Res10,Turret,Label,Plan 10x
PixelSize_um,Res10,0.65
"""
REAL: dict[str, Any] = {
    "microscope.turret": "Turret",
    "objectives.0": {"name": "10x", "label": "Plan 10x"},
    "objectives.1": {"name": "20x", "label": "Plan 20x", "pixel_size": 0.325},
    "channels.red.preset": "Cy3",
    "channels.green.preset": "FITC",
    "channels.blue.preset": "DAPI",
    "channels.yellow.preset": "Cy5",
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "scope.cfg"
    path.write_text(CONFIG)
    return path


def test_a_configuration_is_read_from_its_text(config: Path) -> None:
    setup = read_setup(config)
    assert setup.presets == {"Channel": {"DAPI", "FITC", "Cy3", "Cy5"}}
    assert setup.labels == {"Turret": {"Plan 10x", "Plan 20x"}}
    assert setup.pixel_sizes == {("Turret", "Plan 10x"): 0.65}


def test_pixel_sizes_come_from_the_plan_or_from_the_configuration(make_plan: Any, config: Path) -> None:
    scale = check_setup(make_plan(REAL), config)
    assert scale.pixel_size == {"10x": 0.65, "20x": 0.325}
    assert scale.field_um("20x") == (32 * 0.325, 32 * 0.325)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"channels.red.preset": "Cy33"}, "channels.red.preset: 'CONFIG' has no 'Cy33'. Did you mean 'Cy3'?"),
        ({"channels.group": "Chanel"}, "channels.group: 'CONFIG' has no 'Chanel'. Did you mean 'Channel'?"),
        ({"microscope.turret": "Turet"}, "microscope.turret: 'CONFIG' has no 'Turet'. Did you mean 'Turret'?"),
        ({"objectives.1.label": "Plan 40x"}, "objectives.label: 'CONFIG' has no 'Plan 40x'."),
        ({"objectives.1.pixel_size": None}, "Nothing says how large a pixel is with the objective '20x'"),
    ],
)
def test_what_is_not_there_is_told(make_plan: Any, config: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError) as raised:
        check_setup(make_plan(REAL | changes), config)
    assert says.replace("CONFIG", str(config)) in str(raised.value)


def test_a_configuration_that_is_none(make_plan: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Cannot read the configuration"):
        read_setup(tmp_path / "none.cfg")
    (tmp_path / "bytes.cfg").write_bytes(b"\xff\x00")
    with pytest.raises(UsageError, match="is no Micro-Manager configuration"):
        read_setup(tmp_path / "bytes.cfg")


def test_a_zoom_finds_its_objective(make_plan: Any) -> None:
    plan = make_plan()
    scale = check_setup(plan, None)
    assert choose_objective(plan.rules[0], plan, scale).name == "20x"
    four = make_plan({"rules.0.zoom": 4})
    with pytest.raises(UsageError, match=r"No objective has the zoom 4, pixels of 1.28 µm \(there are 10x 5.12 µm"):
        choose_objective(four.rules[0], four, scale)
    same = make_plan({"rules.0.zoom": None})
    assert choose_objective(same.rules[0], same, scale).name == "10x"


def test_a_bundle_that_cannot_read_what_the_objective_shows_is_refused(make_plan: Any) -> None:
    plan = make_plan({"objectives.0.pixel_size": 2.5})
    wanted = f"{read_bundle().card.input.pixel_size:.3g}"
    with pytest.raises(
        UsageError, match=rf"shows pixels of 2.5 µm, too coarse for the bundle '.*', which wants {wanted} µm"
    ):
        check_bundle(plan, check_setup(plan, None), read_bundle())
    tiny = make_plan({"objectives.0.pixel_size": 0.1})
    with pytest.raises(UsageError, match=r"'10x' shows 3.2 × 3.2 µm at 0.1 µm a pixel, which no bundle can read"):
        check_bundle(tiny, check_setup(tiny, None), read_bundle())


def test_what_the_bundle_notices_is_told(make_plan: Any) -> None:
    plan = make_plan({"objectives.0.pixel_size": 0.64, "objectives.1.pixel_size": 0.32, "microscope.frame": [256, 256]})
    assert check_bundle(plan, check_setup(plan, None), read_bundle()) == ("20x: small field: 82 µm",)
    assert np.isclose(check_setup(plan, None).field_um("10x")[0], 163.84)
