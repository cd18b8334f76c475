"""A plan and a bundle checked against a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lociscope.artifacts.bundle import read_bundle
from lociscope.errors import Code, UsageError
from lociscope.microscope.configuration import check_bundle, check_setup, choose_objective, read_setup
from lociscope.warnings import FieldWarning, WarningKind

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """# a comment, with commas
Device,Camera,DemoCamera,DCam
Device,Turret,DemoCamera,DObjective
Property,Core,Initialize,1
PixelSizeAngle_dxdz,Res10,0
Label,Nowhere,0,ignored
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


def test_read_setup(config: Path) -> None:
    setup = read_setup(config)
    assert setup.presets == {"Channel": {"DAPI", "FITC", "Cy3", "Cy5"}}
    assert setup.labels == {"Turret": {"Plan 10x", "Plan 20x"}}
    assert setup.pixel_sizes == {("Turret", "Plan 10x"): 0.65}


def test_pixel_sizes_come_from_the_plan_or_from_the_configuration(make_plan: Any, config: Path) -> None:
    scale = check_setup(make_plan(REAL), config)
    assert scale.pixel_size == {"10x": 0.65, "20x": 0.325}
    assert scale.field_um("20x") == (32 * 0.325, 32 * 0.325)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channels.red.preset": "Cy33"}, "channels.red.preset: 'CONFIG' has no 'Cy33'. Did you mean 'Cy3'?"),
        ({"channels.group": "Chanel"}, "channels.group: 'CONFIG' has no 'Chanel'. Did you mean 'Channel'?"),
        ({"microscope.turret": "Turet"}, "microscope.turret: 'CONFIG' has no 'Turet'. Did you mean 'Turret'?"),
        ({"objectives.1.label": "Plan 40x"}, "objectives.label: 'CONFIG' has no 'Plan 40x'."),
        ({"objectives.1.pixel_size": None}, "The pixel size of the objective '20x' is unknown"),
    ],
)
def test_an_unknown_name_is_refused(make_plan: Any, config: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        check_setup(make_plan(REAL | changes), config)
    assert message.replace("CONFIG", str(config)) in str(raised.value)


def test_a_file_that_is_not_a_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Cannot read the configuration") as raised:
        read_setup(tmp_path / "none.cfg")
    assert raised.value.code == Code.UNREADABLE
    for content in (b"\xff\x00", b"\0,1", b"Device,Camera\n", b"x" * 70_000, b"Property,Nothing,Label,1\n"):
        (tmp_path / "scope.cfg").write_bytes(content)
        with pytest.raises(UsageError, match="is not a Micro-Manager configuration") as raised:
            read_setup(tmp_path / "scope.cfg")
        assert raised.value.code == Code.WRONG_FILE
    (tmp_path / "scope.cfg").write_bytes(b"")
    assert read_setup(tmp_path / "scope.cfg").labels == {}


def test_choose_objective_by_zoom(make_plan: Any) -> None:
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
        UsageError, match=rf"shows pixels of 2.5 µm, too coarse for the bundle '.*', which expects {wanted} µm"
    ):
        check_bundle(plan, check_setup(plan, None), read_bundle())
    tiny = make_plan({"objectives.0.pixel_size": 0.1})
    with pytest.raises(UsageError, match=r"'10x' shows 3.2 × 3.2 µm at 0.1 µm a pixel, which no bundle can read"):
        check_bundle(tiny, check_setup(tiny, None), read_bundle())


def test_the_warnings_of_fields_are_known_beforehand(make_plan: Any) -> None:
    plan = make_plan({"objectives.0.pixel_size": 0.64, "objectives.1.pixel_size": 0.32, "microscope.frame": [256, 256]})
    assert check_bundle(plan, check_setup(plan, None), read_bundle()) == {
        "10x": (),
        "20x": (FieldWarning(WarningKind.SMALL_FIELD, value=82),),
    }
    assert np.isclose(check_setup(plan, None).field_um("10x")[0], 163.84)
