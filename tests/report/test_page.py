from __future__ import annotations

import base64
import io
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from lociscope.errors import LociscopeError, MissingExtraError
from lociscope.report.page import (
    Link,
    _insert_contents,
    environment,
    interval,
    jpeg_uri,
    link_files,
    number,
    render,
    write_page,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_a_grey_picture_comes_back_from_its_uri() -> None:
    plane = np.repeat(np.arange(0, 256, 4, dtype=np.uint8)[:, None], 64, axis=1)
    uri = jpeg_uri(plane)
    assert uri.startswith("data:image/jpeg;base64,")
    back = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))))
    assert back.shape == plane.shape
    assert np.abs(back.astype(int) - plane).max() <= 4


def test_numbers_for_the_eye() -> None:
    assert [number(0.125, 1), number(-0.5), number(None)] == ["0.1", "−0.50", "–"]
    assert interval(0.1, 0.25) == "0.10–0.25"
    assert interval(-0.02, 0.05) == "−0.02 to 0.05"
    assert interval(None, None) == "–"


def test_a_report_opens_with_its_title_and_the_frame_where_it_concerns_it() -> None:
    page = render("base.html", title="A < B")
    assert "<h1>A &lt; B</h1>" in page
    assert 'id="frame"' not in page
    frame = environment("lociscope.report").get_template("frame.html").render()
    assert 100 <= len(frame.split('id="frame">Frame</h2>')[1].split("</section>")[0].split()) <= 140


def test_a_page_of_several_sections_lists_them() -> None:
    html = '<!-- contents --><h2 id="a">One <small>2</small></h2><h2 id="b">Two</h2>{}'
    assert _insert_contents(html.format("")) == html.format("").removeprefix("<!-- contents -->")
    made = _insert_contents(html.format('<h2 id="c">A &lt; B</h2>'))
    assert '<a href="#a">One 2</a>' in made
    assert '<a href="#c">A &lt; B</a>' in made


def test_files_are_linked_relative_to_the_page(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "a #1.json").write_text("{}")
    links = link_files(
        tmp_path / "out" / "page.html",
        [(tmp_path / "a #1.json", "figures"), (tmp_path / "run", "a Run"), (tmp_path / "none", "")],
    )
    assert links == [Link("../a%20%231.json", "a #1.json", "figures"), Link("../run", "run", "a Run")]


def test_a_name_that_the_template_needs_is_not_left_blank() -> None:
    from jinja2 import UndefinedError

    with pytest.raises(UndefinedError, match="title"):
        render("base.html")


def test_without_jinja2_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtraError, match=r"lociscope\[report\]"):
        render("base.html", title="x")


def test_a_page_is_written_whole_or_refused_with_the_reason(tmp_path: Path) -> None:
    page = tmp_path / "new" / "report.html"
    write_page(page, "µm")
    assert page.read_text(encoding="utf-8") == "µm"
    with pytest.raises(LociscopeError, match="Cannot write"):
        write_page(page.parent, "a file where a folder is")
    assert list(page.parent.iterdir()) == [page]
    assert list(tmp_path.iterdir()) == [page.parent]
