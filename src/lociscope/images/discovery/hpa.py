"""Where a field was taken, as the names of the Human Protein Atlas and of Leica's matrix screener say it."""

from __future__ import annotations

import re

_HPA = re.compile(
    r"(?:(?P<antibody>\d+)_)?(?P<plate>(?:si)?\d+)_(?P<well>[A-P]\d{1,2})_(?P<site>\d+)(?:_.+)?", re.IGNORECASE
)
"""`<antibody>_<plate>_<well>_<site>` as in the tables of its version 18, `<plate>_<well>_<site>` as on its site; a
fifth part counts crops."""

_LEICA = re.compile(r"image--.*?U(?P<column>\d{2,3})--V(?P<row>\d{2,3})(?:--(?P<site>.+))?")


def parse_origin(identifier: str) -> dict[str, str]:
    """Reads antibody, plate, well and site out of a field's name.

    Args:
        identifier: Such as `10580_1610_C1_1`, `800_A6_1`, or `image--U01--V00--E02--X00--Y00`.

    Returns:
        What it says of `antibody`, `plate`, `well` and `site`; nothing where it is a name of another kind.
    """
    if match := _HPA.fullmatch(identifier):
        return {key: value for key, value in match.groupdict().items() if value is not None}
    if match := _LEICA.match(identifier):
        row, column = int(match["row"]), int(match["column"]) + 1  # both count from 0
        letters = (chr(ord("A") + row // 26 - 1) if row >= 26 else "") + chr(ord("A") + row % 26)
        return {"well": f"{letters}{column:02d}"} | ({"site": match["site"]} if match["site"] else {})
    return {}
