"""Parse antibody, plate, well and site from the names of the Human Protein Atlas and of Leica's matrix screener."""

from __future__ import annotations

import re

from lociscope.images.discovery.patterns import format_well

_HPA = re.compile(
    r"(?:(?P<antibody>\d+)_)?(?P<plate>(?:si)?\d+)_(?P<well>[A-P]\d{1,2})_(?P<site>\d+)(?:_.+)?", re.IGNORECASE
)
"""`<antibody>_<plate>_<well>_<site>` as in the tables of its version 18, `<plate>_<well>_<site>` as on its site; a
fifth part counts crops."""

_LEICA = re.compile(r"image--.*?U(?P<column>\d{2,3})--V(?P<row>\d{2,3})(?:--(?P<site>.+))?")


def parse_origin(identifier: str) -> dict[str, str]:
    """Return the antibody, plate, well and site that a field's name gives.

    Args:
        identifier: Such as `10580_1610_C1_1`, `800_A6_1`, or `image--U01--V00--E02--X00--Y00`.

    Returns:
        The values of `antibody`, `plate`, `well` and `site` in the name; empty where it has another form.
    """
    if match := _HPA.fullmatch(identifier):
        return {key: value for key, value in match.groupdict().items() if value is not None}
    if match := _LEICA.match(identifier):
        well = format_well(str(int(match["row"]) + 1), str(int(match["column"]) + 1))  # both count from 0
        return {"well": well} | ({"site": match["site"]} if match["site"] else {})
    return {}
