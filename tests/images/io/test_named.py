"""Which plane is which channel."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lociscope.channels import CHANNEL_NAMES, ChannelName
from lociscope.errors import LociscopeError
from lociscope.images.io.container import parse_plane_ref
from lociscope.images.io.formats import read_picture
from lociscope.images.io.jpeg import read_jpeg
from lociscope.images.io.named import select_plane
from lociscope.images.io.picture import Picture

RNG = np.random.default_rng(0)


def stack(*names: str) -> Picture:
    pixels = np.broadcast_to(np.arange(len(names), dtype=np.uint8), (3, 3, len(names)))
    return Picture(pixels, names)


def number(picture: Picture, channel: ChannelName, path: str = "a.tif", *, shared: bool = True) -> int:
    plane = select_plane(picture, channel, parse_plane_ref(Path(path)), shared=shared)
    assert plane is not None
    return int(plane[0, 0])


def test_channels_are_found_by_name_in_any_order_beside_others() -> None:
    picture = stack("ER", "Brightfield", "DAPI", "Alexa Fluor 488", "\N{GREEK SMALL LETTER ALPHA}-tubulin")
    assert [number(picture, name) for name in CHANNEL_NAMES] == [4, 3, 2, 0]


def test_unknown_names_are_listed_with_the_option_to_pass() -> None:
    with pytest.raises(LociscopeError) as caught:
        number(stack("Ch 1", "GFP", "DAPI", "Ch2"), "red")
    assert str(caught.value) == (
        "'a.tif' has no channel that is known to be red (found 'Ch 1', 'GFP', 'DAPI', 'Ch2'). "
        "Pass `channels=red=…,green=GFP,blue=DAPI,yellow=…` with these names."
    )
    with pytest.raises(LociscopeError, match=r"\(found '0', '1', '2', '3'\)"):
        number(stack("", "", "", ""), "green")
    with pytest.raises(LociscopeError, match="has more than one channel that is blue"):
        number(stack("DAPI", "Hoechst", "GFP", "ER"), "blue")


def test_a_channel_named_by_the_user() -> None:
    picture = stack("Ch 1", "GFP", "", "Ch 1")
    assert number(picture, "red", "a.tif!gfp") == 1
    assert number(picture, "green", "a.tif!2") == 2
    for name, expected in (("Ch 1", "two channels named 'Ch 1'"), ("DAPI", "no channel named 'DAPI'")):
        with pytest.raises(LociscopeError, match=f"has {expected} \\(found 'Ch 1', 'GFP', '2', 'Ch 1'\\)"):
            number(picture, "red", f"a.tif!{name}")


def test_metadata_that_contradict_the_name_of_the_file() -> None:
    assert number(stack("DAPI"), "blue", shared=False) == 0
    assert number(stack("whatever"), "blue", shared=False) == 0
    with pytest.raises(LociscopeError, match=r"is named red, and its metadata call it 'DAPI', which is blue. Rename"):
        number(stack("DAPI"), "red", shared=False)


def test_a_channel_that_may_be_missing() -> None:
    ref = parse_plane_ref(Path("a.tif"))
    assert select_plane(stack("DAPI", "GFP", "TRITC"), "yellow", ref, shared=True, may_miss=True) is None
    with pytest.raises(LociscopeError, match="more than one channel that is yellow"):
        select_plane(stack("ER", "KDEL"), "yellow", ref, shared=True, may_miss=True)


def coded(plane: np.ndarray, channel: ChannelName, quality: int = 75) -> Picture:
    """A plane drawn in its colour and kept as JPEG with halved colour, as HPA serves it."""
    shown = {"red": (0,), "green": (1,), "blue": (2,), "yellow": (0, 1)}[channel]
    picture = np.stack([plane if each in shown else np.zeros_like(plane) for each in range(3)], axis=-1)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    return read_jpeg(io.BytesIO(buffer.getvalue()), "a.jpg")


def test_colour_coded_images_are_one_channel() -> None:
    rough = RNG.integers(0, 256, (8, 8)).astype(np.float32)
    plane = np.asarray(Image.fromarray(rough).resize((96, 96), Image.Resampling.BICUBIC)).clip(0, 255).astype(np.uint8)
    for channel in CHANNEL_NAMES:
        found = select_plane(coded(plane, channel), channel, parse_plane_ref(Path("a.jpg")), shared=False)
        assert found is not None
        assert found.dtype == np.uint8
        assert np.sqrt(np.mean((found.astype(float) - plane) ** 2)) < 15 < plane.std() / 4
        for other in set(CHANNEL_NAMES) - {channel} - ({"red", "green"} if channel == "yellow" else set()):
            if {channel, other} <= {"red", "green", "yellow"} and "yellow" in (channel, other):
                continue  # half of yellow is there
            with pytest.raises(LociscopeError, match=f"is a colour image, and not of {other} alone"):
                select_plane(coded(plane, channel), other, parse_plane_ref(Path("a.jpg")), shared=False)


def test_grey_saved_as_colour_is_grey() -> None:
    plane = RNG.integers(0, 256, (9, 9), np.uint8)
    picture = Picture(np.dstack([plane] * 3), ("red", "green", "blue"), colour=True)
    np.testing.assert_array_equal(select_plane(picture, "blue", parse_plane_ref(Path("a.jpg")), shared=False), plane)


def test_a_composite_plane_by_plane() -> None:
    picture = Picture(RNG.integers(0, 256, (9, 9, 3), np.uint8), ("red", "green", "blue"), colour=True)
    ref = parse_plane_ref(Path("a.jpg"))
    for at, channel in enumerate(CHANNEL_NAMES[:3]):
        np.testing.assert_array_equal(select_plane(picture, channel, ref, shared=True), picture.pixels[..., at])
    assert select_plane(picture, "yellow", ref, shared=True, may_miss=True) is None
    with pytest.raises(LociscopeError, match=r"is an RGB composite, which has no ER. Pass `allow_missing=yellow`"):
        select_plane(picture, "yellow", ref, shared=True)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int16, np.float32])
def test_yellow_of_any_type_of_numbers(kind: type[np.generic]) -> None:
    pixels = np.zeros((9, 9, 3), kind)
    pixels[..., 0], pixels[..., 1] = 101, 104
    plane = select_plane(
        Picture(pixels, ("red", "green", "blue"), colour=True), "yellow", parse_plane_ref(Path("a.tif")), shared=False
    )
    assert plane is not None
    assert plane.dtype == kind
    assert plane[0, 0] == (102.5 if kind is np.float32 else 103)


def test_yellow_is_nearest_to_the_mean_of_red_and_green(real_data: Path) -> None:
    """Of mean, larger, red and green, on a real ER plane that is coded as HPA codes it."""
    path = real_data / "hpa2021" / "train" / "000a6c98-bb9b-11e8-b2b9-ac1f6b6435d0_yellow.png"
    plane = read_picture(parse_plane_ref(path)).pixels[:512, :512, 0]
    red, green = (coded(plane, "yellow").pixels[..., at].astype(float) for at in (0, 1))
    tried = {"mean": (red + green) / 2, "larger": np.maximum(red, green), "red": red, "green": green}
    error = {name: float(np.sqrt(np.mean((each - plane) ** 2))) for name, each in tried.items()}
    assert min(error, key=error.__getitem__) == "mean"
    found = select_plane(coded(plane, "yellow"), "yellow", parse_plane_ref(path), shared=False)
    assert found is not None
    assert abs(float(found.mean()) - float(plane.mean())) < 0.6


@pytest.mark.parametrize(("channel", "parts"), [("red", (0,)), ("green", (1,)), ("blue", (2,)), ("yellow", (0, 1))])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_faint_grain_in_a_colour_coded_jpeg_is_still_of_its_colour(
    channel: ChannelName, parts: tuple[int, ...], subsampling: int
) -> None:
    """Grain of the channel's colour leaks into the others when JPEG halves the colours, by up to 0.28."""
    from lociscope.simulate import simulate_field

    plane = simulate_field(3, seed=3, size=256).pixels[..., CHANNEL_NAMES.index(channel)]
    colours = np.stack([plane if part in parts else np.zeros_like(plane) for part in range(3)], axis=-1)
    buffer = io.BytesIO()
    Image.fromarray(colours).save(buffer, "JPEG", quality=75, subsampling=subsampling)
    buffer.seek(0)
    found = select_plane(read_jpeg(buffer, "a.jpg"), channel, parse_plane_ref(Path(f"a_{channel}.jpg")), shared=False)
    assert found is not None
    assert abs(float(found.mean()) - float(plane.mean())) < 1
