"""Select the plane of a channel in an image by name, never by position."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import numpy as np

from lociscope.channels import CHANNEL_NAMES, find_channel
from lociscope.errors import Code, LociscopeError

if TYPE_CHECKING:
    from lociscope.channels import ChannelName
    from lociscope.images.io.container import PlaneRef
    from lociscope.images.io.picture import Picture

_LEAK = 0.4
"""Maximum brightness of the other colours of a colour-coded image, relative to its own. JPEG leaks 0.05 in the Atlas'
images and, where faint grain is coded with halved colour, up to 0.28 (qualities 75–95); a photograph has about 1."""

_SAMPLE_SIDE = 128
"""Approximate number of pixels along a side that are compared."""


def select_plane(
    picture: Picture, channel: ChannelName, ref: PlaneRef, *, shared: bool, may_miss: bool = False
) -> np.ndarray | None:
    """Return the plane of one channel.

    Args:
        picture: The decoded file.
        channel: The channel to select.
        ref: The location of the file; `ref.channel` is the user's name of the channel in it, if there is one.
        shared: Whether the file has the whole field, and not only this channel.
        may_miss: Whether the channel may be missing.

    Returns:
        (y, x); None where the channel is missing and may be.

    Raises:
        LociscopeError: No plane, or more than one, is known to be this channel; or the file names another one.
    """
    image = ref.image
    if ref.channel:
        return picture.pixels[..., _find_named_plane(picture, image, ref.channel)]
    if picture.colour:
        if shared:
            return _select_from_composite(picture, channel, image, may_miss=may_miss)
        return _select_from_colour_picture(picture, channel, image)
    if len(picture.names) == 1 and not shared:
        found = find_channel(picture.names[0])
        if found and found != channel:
            raise LociscopeError(
                f"'{image}' is named {channel}, and its metadata call it '{picture.names[0]}', which is {found}. "
                "Rename the file after its stain, or correct its metadata.",
                code=Code.UNKNOWN_CHANNEL,
            )
        return picture.pixels[..., 0]
    found_at = [number for number, name in enumerate(picture.names) if find_channel(name) == channel]
    if len(found_at) == 1:
        return picture.pixels[..., found_at[0]]
    if not found_at and may_miss:
        return None
    if not shared and not any(picture.names):
        raise LociscopeError(
            f"'{image}' has {len(picture.names)} planes instead of one of {channel}. Export each channel as a grey "
            "image.",
            code=Code.UNKNOWN_CHANNEL,
        )
    raise _unknown_channel_error(picture, channel, image, len(found_at))


def list_channel_names(picture: Picture) -> list[str]:
    """Return the names of the planes for `channels`: their names, or their indices from 0 where they have none.

    The planes of a colour image can also be given by their indices.
    """
    return [name or str(number) for number, name in enumerate(picture.names)]


def _find_named_plane(picture: Picture, ref: PlaneRef, channel: str) -> int:
    names = list_channel_names(picture)
    wanted = channel.casefold()
    found = [number for number, name in enumerate(names) if name.casefold() == wanted]
    if not found and picture.colour:
        found = [number for number in range(len(names)) if str(number) == wanted]
    if len(found) != 1:
        many = "two channels" if found else "no channel"
        raise LociscopeError(
            f"'{ref}' has {many} named '{channel}' (found {_quote_names(names)}). "
            "Pass `channels` with names from these.",
            code=Code.UNKNOWN_CHANNEL,
        )
    return found[0]


def _select_from_composite(
    picture: Picture, channel: ChannelName, ref: PlaneRef, *, may_miss: bool
) -> np.ndarray | None:
    if channel != "yellow":
        return picture.pixels[..., CHANNEL_NAMES.index(channel)]
    if may_miss:
        return None
    raise LociscopeError(
        f"'{ref}' is an RGB composite, which has no ER. Pass `allow_missing=yellow` to predict without it.",
        code=Code.MISSING_CHANNEL,
    )


def _select_from_colour_picture(picture: Picture, channel: ChannelName, ref: PlaneRef) -> np.ndarray:
    """Return the one channel of an image that is rendered in its colour, as HPA serves them."""
    red, green, blue = (picture.pixels[..., number] for number in range(3))
    own, others = {
        "red": ([red], [green, blue]),
        "green": ([green], [red, blue]),
        "blue": ([blue], [red, green]),
        "yellow": ([red, green], [blue]),
    }[channel]
    step = max(1, min(red.shape) // _SAMPLE_SIDE)
    bright, rest = (max(float(plane[::step, ::step].mean()) for plane in planes) for planes in (own, others))
    if rest > max(_LEAK * bright, 1.0):
        if np.array_equal(red, green) and np.array_equal(green, blue):
            return red
        raise LociscopeError(
            f"'{ref}' is a colour image, and not of {channel} alone. Export each channel as a grey image, or "
            "name the file without a colour and pass `allow_missing=yellow` to read it as a composite.",
            code=Code.UNKNOWN_CHANNEL,
        )
    if len(own) == 1:
        return own[0]
    # Yellow is rendered as equal red and green; their mean is closest to the original (bias −0.02 of 255; that of the
    # larger of the two is +0.4), measured on three fields coded as HPA does: tests/images/io/test_named.py.
    total = red.astype(np.float64) + green
    mean: np.ndarray = (total / 2 if red.dtype.kind == "f" else np.floor((total + 1) / 2)).astype(red.dtype)
    return mean


def _unknown_channel_error(picture: Picture, channel: ChannelName, ref: PlaneRef, found: int) -> LociscopeError:
    names = list_channel_names(picture)
    known = {find_channel(name): shlex.quote(name) for name in names}
    example = ",".join(f"{each}={known.get(each, '…')}" for each in CHANNEL_NAMES)
    what = "more than one channel that is" if found else "no channel that is known to be"
    return LociscopeError(
        f"'{ref}' has {what} {channel} (found {_quote_names(names)}). Pass `channels={example}` with these names.",
        code=Code.UNKNOWN_CHANNEL,
    )


def _quote_names(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
