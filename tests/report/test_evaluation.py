from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lociscope.errors import Code, LociscopeError
from lociscope.images.field import Field
from lociscope.labels import LABELS, N_LABELS, to_multi_hot
from lociscope.report.evaluation import Gallery, headline_rows, summarize, write_evaluation
from lociscope.report.gallery import EvidencePicture, GalleryField
from lociscope.report.metrics import Metrics, measure
from lociscope.report.page import check_page
from lociscope.warnings import parse_warnings

if TYPE_CHECKING:
    from pathlib import Path

VOID = {"meta", "img", "input", "br", "link"}
HOSTILE = "<script>alert('x')</script>\"&"
HISTORY = [{"epoch": n, "loss": 1 / n, "val_loss": 0.5 + 1 / n} for n in range(1, 4)]


class Page(HTMLParser):
    """The elements of a page, its text outside scripts and styles, and whether its tags are balanced."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.text += " " * (tag in {"td", "th"})

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def measured(n: int = 80, noise: float = 0.15, groups: np.ndarray | None = None) -> Metrics:
    rng = np.random.default_rng(1)
    truth = to_multi_hot([[int(rng.integers(4))] for _ in range(n)])
    probability = np.clip(0.15 + 0.5 * truth + rng.normal(0, noise, truth.shape), 0, 1)
    decided = (probability >= 0.4).astype(np.uint8)
    return measure(truth, probability, decided, f"{n} made-up fields", groups=groups, resamples=100)


def field(name: str = "a1", **changes: Any) -> GalleryField:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 4), np.uint8)
    probability = np.linspace(0.5, 0.01, N_LABELS)
    values = {"truth": (0, 9), "predicted": (0, 1), "status": "ok", "warnings": ()} | changes
    return GalleryField(Field(name, pixels), probability=probability, **values)


def written(folder: Path, **changes: Any) -> Page:
    values: dict[str, Any] = {
        "title": "LeNet-5", "metrics": measured(), "thresholds": np.full(N_LABELS, 0.31),
        "history": HISTORY, "run_facts": {"Seed": "0"},
    }  # fmt: skip
    galleries = [Gallery("", "", changes.pop("gallery", [field()]))]
    write_evaluation(folder / "report.html", galleries=galleries, **values | changes)
    page = Page((folder / "report.html").read_text(encoding="utf-8"))
    assert page.open == []
    return page


def test_sections_come_in_the_promised_order(tmp_path: Path) -> None:
    page = written(tmp_path)
    text = page.text[page.text.index("The location of a protein") :]  # below the list of contents
    headings = ["Headline figures", "1 field and", "Scores by location", "Levels of classes", "Kinds of fields"]
    headings += ["Confusions", "Precision–recall curves", "Calibration", "Learning curves", "Data and training"]
    order = [text.index(heading) for heading in headings]
    assert order == sorted(order)


def test_the_page_needs_no_other_file(tmp_path: Path) -> None:
    page = written(tmp_path)
    for tag, attributes in page.elements:
        assert tag not in {"link", "iframe", "object", "base"}
        for name in ("src", "href", "xlink:href", "action", "srcset"):
            assert (attributes.get(name) or "#").startswith(("data:image/jpeg;base64,", "#"))
    source = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "@import" not in source
    assert "url(http" not in source


def test_whatever_others_wrote_is_shown_as_text(tmp_path: Path) -> None:
    hostile = field(HOSTILE, status=HOSTILE, warnings=parse_warnings([HOSTILE]))
    metrics = measured().model_copy(update={"what": HOSTILE})
    page = written(
        tmp_path, title=HOSTILE, metrics=metrics, gallery=[hostile], run_facts={HOSTILE: HOSTILE}, notes=[HOSTILE]
    )
    assert len(page.all("script")) == 2  # our own
    assert page.text.count(HOSTILE) >= 8
    assert HOSTILE in (page.all("img")[0]["alt"] or "")


def test_pictures_have_words_and_switches_have_what_they_switch(tmp_path: Path) -> None:
    page = written(tmp_path, gallery=[field("a1"), field("b2")])
    assert [image["alt"] for image in page.all("img")][:2] == ["Field a1: microtubules", "Field a1: protein"]
    ids = [attributes["id"] for _, attributes in page.elements if attributes.get("id")]
    assert len(ids) == len(set(ids))
    switches = page.all("input")
    assert len(switches) == len(page.all("img")) == 8
    assert {label["for"] for label in page.all("label")} == {switch["id"] for switch in switches}
    assert sum("checked" in switch for switch in switches) == 6  # ER is off, as in HPA's composites


def test_a_field_shows_its_locations(tmp_path: Path) -> None:
    text = " ".join(written(tmp_path).text.split())
    assert "✓ Nucleoplasm correct" in text
    assert "○ Endosomes missed, rank 10" in text
    assert "✗ Nuclear membrane wrong" in text
    assert "0.31 for every location" in text


def test_absent_classes_are_stated_and_classes_sorted_by_number(tmp_path: Path) -> None:
    metrics = measured()
    text = " ".join(written(tmp_path, metrics=metrics).text.split())
    assert f"Absent from these fields, so not scored: {', '.join(LABELS[4:])}." in text
    table = text[text.rindex("Scores by location") :]
    ordered = sorted(metrics.classes[:4], key=lambda each: -each.positives)
    offsets = [table.index(f"{each.label} {each.positives} {each.predicted}") for each in ordered]
    assert offsets == sorted(offsets)


def test_parts_that_are_not_given_are_left_out(tmp_path: Path) -> None:
    page = written(tmp_path, gallery=[], history=None, run_facts=None)
    for heading in ("Learning curves", "Data and training", "what was reported"):
        assert heading not in page.text
    assert page.all("input") == []


def test_a_ranking_worse_than_the_prior_is_called_so(tmp_path: Path) -> None:
    truth = to_multi_hot([[0]] * 40 + [[5]] * 40)
    probability = np.where(truth, 0.1, 0.6)
    metrics = measure(truth, probability, probability > 0.5, "80 fields", resamples=50)
    said = summary_text(metrics)
    assert "worse than the label prior" in said
    assert "worse than reporting every location for every field" in said
    assert "Nucleoplasm is missed in 40 fields where" in written(tmp_path, metrics=metrics).text


def test_evidence_and_scale_bar(tmp_path: Path) -> None:
    orange = EvidencePicture(7, np.full((16, 16, 3), (255, 140, 0), np.uint8))
    page = written(tmp_path, gallery=[field(evidence=orange), field("b2")])
    assert "Field a1: evidence for Golgi apparatus" in [image["alt"] for image in page.all("img")]
    assert page.text.count("20 µm (assumed)") == 2


def test_the_interval_of_a_class_is_on_the_page(tmp_path: Path) -> None:
    metrics = measured()
    low, high = metrics.classes[0].intervals["recall"]
    assert f"{low:.2f}–{high:.2f}" in written(tmp_path, metrics=metrics).text


def test_a_page_of_another_kind_is_not_overwritten(tmp_path: Path) -> None:
    written(tmp_path)
    written(tmp_path)
    with pytest.raises(LociscopeError, match="page of another kind") as caught:
        check_page(tmp_path / "report.html", "map")
    assert caught.value.code == Code.CONFLICT


def test_unknown_antibodies_are_admitted(tmp_path: Path) -> None:
    assert "the true intervals are wider" in " ".join(written(tmp_path).text.split())
    grouped = written(tmp_path, metrics=measured(groups=np.arange(80) // 2))
    assert "Intervals are from resampling 40 groups of the 80 fields." in " ".join(grouped.text.split())


def summary_text(metrics: Metrics) -> str:
    return " ".join(summarize(metrics)).replace("\u2060", "").replace("\u00a0", " ")


def test_the_result_says_whether_it_is_good_enough() -> None:
    good = summary_text(measured())
    assert "significantly more than 0.05" in good
    assert "below the 6 minutes below which" in good
    poor = summary_text(measured(noise=5.0))
    assert "significantly more than 0.05, the smallest" not in poor.replace("not significantly", "")
    assert "above the 6 minutes below which" in poor


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [
        (0.06, 0.2, "significantly more than"),
        (0.01, 0.2, "but not significantly more"),
        (-0.1, 0.2, "not a significant improvement"),
    ],
)
def test_a_gain_is_judged_by_the_lower_end_of_its_interval(low: float, high: float, says: str) -> None:
    metrics = measured()
    gain = metrics.gain_over_prior.model_copy(update={"value": 0.1, "low": low, "high": high})
    assert says in summary_text(metrics.model_copy(update={"gain_over_prior": gain}))


def test_fields_without_labels_are_reported_without_scores(tmp_path: Path) -> None:
    nothing = np.zeros((3, N_LABELS), np.uint8)
    metrics = measure(nothing, nothing * 0.5, nothing, "3 negative fields", resamples=10)
    text = written(tmp_path, metrics=metrics).text
    assert "the ranking cannot be scored" in text
    assert "nan" not in text.lower().replace("predominant", "")
    assert {row.name: row.interval for row in headline_rows(metrics)}["LRAP"] == "–"


def test_a_dozen_fields_stay_below_8_mb(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (512, 512, 4), np.uint8)  # compresses worse than any cell
    one = GalleryField(Field("a1", noise), None, np.full(N_LABELS, 0.1), (), "unsure", ())
    written(tmp_path, gallery=[one] * 12)
    assert (tmp_path / "report.html").stat().st_size < 8e6
