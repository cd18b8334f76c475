"""Generate the logbook of the experiments: docs/logbooks/experiments.md and docs/logbooks/experiments-details.md.

    python docs/_generate/experiments_page.py RUNS_DIR
    python docs/_generate/experiments_page.py

The first command collects the figures of all Runs in RUNS_DIR (as `lociscope compare` does; networks whose cost is not
recorded in their Run are loaded once) into research/logbooks/experiments.json, where experiments without a Run in
RUNS_DIR keep their figures; both write the pages from the recorded figures.
research/logbooks/experiments.toml has the order, the texts and the verdicts. The overview tells each `[[story]]` of that
file in a screen, with the recorded figures; the details have every iteration and the longer discussion.

The figures of the finalists come from `research/finalists.py … --json research/logbooks/finalists.json`, those of
unseen cell lines from `research/left_out.py … --json research/logbooks/left_out.json`.
"""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

from lociscope.artifacts.folds import Folds
from lociscope.errors import LociscopeError
from lociscope.report.candidates import describe_changes
from lociscope.report.comparison_rows import build_rows, interval_to_dict
from lociscope.report.page import NOTHING, interval, number
from lociscope.report.ranking import ComparisonGroup, compare_candidates
from lociscope.storage.atomic import atomic_write
from lociscope.workflows.compare import read_candidates

ROOT = Path(__file__).parents[2]
WORDS = ROOT / "research" / "logbooks" / "experiments.toml"
FIGURES = ROOT / "research" / "logbooks" / "experiments.json"
FINALISTS = ROOT / "research" / "logbooks" / "finalists.json"
LEFT_OUT = ROOT / "research" / "logbooks" / "left_out.json"
MEASURES = {"macro_f1": "macro-F1", "macro_average_precision": "average precision", "lrap": "LRAP", "macro_auc": "AUC"}
OVERVIEW = ROOT / "docs" / "logbooks" / "experiments.md"
DETAILS = ROOT / "docs" / "logbooks" / "experiments-details.md"
OVERVIEW_HEAD = """# Experiments

After this page you know which experiments were made, what each changed, and what follows for your own training.
**All training fields are simulated**: no network on this page was trained on a real image, and real fields are predicted much worse than simulated ones.
All figures are of simulator version 2, except where version 3 is named. [All tables](experiments-details.md) have every iteration, also those that were not adopted.
"""
READING = """## How to read the scores

- Scores have 90 % intervals from a bootstrap, grouped by specimen where specimens are known. A difference is called significant if the interval of the paired gain excludes 0.
- Macro-F1 is at one threshold for all classes, which is cross-fitted in five folds. The other [metrics](../reference/metrics.md) do not depend on a threshold.
- Iterations are scored on the validation fields. The epoch was chosen on the same fields by its loss (early stopping), and the best of many is the best partly by chance, so
  these scores are optimistic. The finalists are scored on fields that were not used for any choice.
- Real fields are the 56 of `research/real_fields.py`: no network was trained on them, but they were used to tune the simulator (see the
  [simulation logbook](simulation.md)), so scores on them are optimistic, too.
- Every iteration is a Run. Its command and recipe are in `research/experiments/`, and [Runs are compared](../how-to/compare.md) with `lociscope compare`.
"""
DETAILS_HEAD = """# Experiments: all tables

[Experiments](experiments.md) tells the story in a page. This page has the figures of every iteration, also of those that were not adopted, and what they taught in full.
All figures are of simulator version 2.

The gain is in macro average precision over the base, paired; bold where its interval excludes 0. "Adopted" is a decision within the budget of the iteration; Shortlist shows
what the networks at full length use. GMAC, ms and MB are those of one field and one network; ms in ONNX Runtime on one core. The machine also did other work, so GMAC is more
comparable than ms and minutes. With a Catalog `data.fields` has no effect, and `train.epochs` has none where there are stages. Iterations whose numbers are missing were not run.
"""
SUMMARY = ("label prior", "lenet5-1998", "lenet5", "alexnet-2012", "alexnet", "frozen", "pretrained-longer", "features")
"""Models of the table of results."""


SETS = {
    "atlas_test": ("frozen test part", ("macro_f1", "macro_average_precision", "lrap", "macro_auc")),
    "atlas_lines": ("frozen part, unseen cell lines", ("macro_f1", "macro_average_precision", "lrap")),
    "strangers": (
        "972 fields of unseen cell lines, rare classes enriched",
        ("macro_f1", "macro_average_precision", "lrap"),
    ),
    "fields": ("real fields", ("lrap", "macro_auc")),
    "dictionary": ("images of the HPA dictionary", ("dictionary_lrap", "dictionary_top3")),
}
"""The sets of fields of the finalists, and the metrics that are shown."""
SHORT = MEASURES | {"dictionary_lrap": "LRAP, dictionary", "dictionary_top3": "top-3, dictionary"}


def read_words(path: Path = WORDS) -> list[dict[str, Any]]:
    """Read the experiments in their order."""
    return list(tomllib.loads(path.read_text(encoding="utf-8"))["experiment"])


def gather(words: list[dict[str, Any]], runs: Path) -> dict[str, Any]:
    """Collect the figures of every experiment that has a Run, by its title."""
    found = {}
    for experiment in words:
        folders = list_folders(experiment, runs)
        if folders:
            found[experiment["title"]] = compare_folders(folders, experiment.get("base"))
    return found


def list_folders(experiment: dict[str, Any], runs: Path) -> list[Path]:
    """Return the Runs of an experiment in order; empty where none of them exists."""
    if "runs" in experiment:
        named = [runs / name for name in experiment["runs"]]
        return named if any(each.is_dir() for each in named) else []
    folder = runs / str(experiment["folder"])
    return sorted(
        each for each in folder.glob("*") if (each / "recipe.toml").is_file() or (each / Folds.FILE).is_file()
    )


def compare_folders(folders: list[Path], base: str | None) -> dict[str, Any]:
    """Return the rows of `lociscope compare --json`, the failures, the correlation of errors, and a shortlist."""
    try:
        read = read_candidates(folders, quick=False)
        candidates, failures = read.found, read.failures
    except LociscopeError:
        return {"rows": [], "failures": [], "comparison_groups": []}
    if base is not None and base not in {each.name for each in candidates}:
        raise LociscopeError(
            f"The base {base!r} is not one of {', '.join(each.name for each in candidates)}. Name one of them."
        )
    comparison_groups = compare_candidates(candidates, base)
    return {
        "rows": build_rows(candidates, comparison_groups),
        # A reason may contain a path of this machine, which does not belong on the page.
        "failures": [{"name": Path(each.folder).name, "reason": "not finished, or damaged"} for each in failures],
        "comparison_groups": [_describe_group(each) for each in comparison_groups],
    }


def _describe_group(group: ComparisonGroup) -> dict[str, Any]:
    found = group.shortlist
    return {
        "names": [each.candidate.name for each in group.models],
        "prior": {name: round(value, 4) for name, value in group.baseline.items()},
        "error_correlation": [
            [None if value != value else round(float(value), 2) for value in row] for row in group.error_correlation
        ],
        "shortlist": found
        and {
            "members": [[each.name, round(each.share, 2), each.folds] for each in found.members],
            "best": found.best,
            "figures": {name: interval_to_dict(each) for name, each in found.figures.items()},
            "gains": {name: interval_to_dict(each) for name, each in found.gains.items()},
        },
    }


# === The pages ===


def overview(texts: dict[str, Any], figures: dict[str, Any], final: dict[str, Any]) -> str:
    """Render the overview: results, the story of each experiment, what followed, and how to read the scores."""
    lines = [OVERVIEW_HEAD, *results_table(texts["finalists"], final), "", "## The experiments", ""]
    for each in texts["story"]:
        lines += story(each, figures, final)
    lines += ["## Simulator version 3", "", *(f"- {each}" for each in texts["afterwards"]["texts"]), ""]
    return "\n".join([*lines, READING])


def story(told: dict[str, Any], figures: dict[str, Any], final: dict[str, Any]) -> list[str]:
    """Return one experiment: its question, the changes with their results, the outcome, and the lesson."""
    lines = [f"### {told['title']}", "", f"**Question.** {told['question']}", "", f"**Changes.** {told['setup']}", ""]
    if "changes" in told:
        rows = {row["name"]: row for row in figures[told["experiment"]]["rows"]}
        lines += changes_table(told["changes"], rows)
    if "gains" in told:
        lines += gains_table(told["gains"], final["ensembles"])
    if "models" in told:
        lines += [f"**Result.** {models_sentence(told['models'], final['models'])}", ""]
    anchor = told["tables"].lower().replace(",", "").replace(" ", "-")
    return [*lines, f"**Lesson.** {told['lesson']} [Tables](experiments-details.md#{anchor})", ""]


def changes_table(changes: list[list[str]], rows: dict[str, dict[str, Any]]) -> list[str]:
    """Return the table of single changes: what was changed (as a text and the name of a Run), and its gain."""
    base = rows[rows[changes[0][1]]["base"]]
    lines = [
        f"| change | gain in average precision over {scored(base['figures']['macro_average_precision'])} |",
        "|---|---:|",
    ]
    return [*lines, *(f"| {text} | {gained(gain_of(rows[name]))} |" for text, name in changes), ""]


def gain_of(row: dict[str, Any]) -> dict[str, Any]:
    """Return the paired gain of a Run in average precision."""
    return dict(row["gains"]["macro_average_precision"])


def gains_table(gains: list[list[str]], ensembles: dict[str, Any]) -> list[str]:
    """Return the gains of ensembles over the best of their members, seed 0, on simulated and real fields."""
    lines = [
        "| combination | gain in macro-F1, simulated | gain in LRAP, real | gain in AUC, real |",
        "|---|---:|---:|---:|",
    ]
    for text, members in gains:
        found = ensembles[members]["0"]["gains"]
        cells = (found["atlas_test"]["macro_f1"], found["fields"]["lrap"], found["fields"]["macro_auc"])
        lines.append(f"| {text} | {' | '.join(gained(each) for each in cells)} |")
    return [*lines, ""]


def models_sentence(models: list[list[str]], found: dict[str, Any]) -> str:
    """Return the scores of finalists, seed 0, as a sentence each."""
    sentences = []
    for text, name in models:
        scores = next(iter(found[name].values()))
        simulated, real = (scored(scores[key][of], 2) for key, of in (("atlas_test", "macro_f1"), ("fields", "lrap")))
        sentences.append(f"{text}: macro-F1 {simulated} on simulated test fields, LRAP {real} on real fields.")
    return " ".join(sentences)


def results_table(texts: dict[str, Any], finalists: dict[str, Any]) -> list[str]:
    """Return the table of results: simulated test fields and real fields, one row per model."""
    lines = [
        "## Results",
        "",
        "| model | macro-F1, simulated | LRAP, simulated | LRAP, real |",
        "|---|---:|---:|---:|",
    ]
    rows = [(texts["names"].get(name, name), next(iter(finalists["models"][name].values()))) for name in SUMMARY]
    members, name = list(texts["ensembles"].items())[-1]
    rows.append((f"ensemble: {name}", next(iter(finalists["ensembles"][members].values()))["scores"]))
    for name, scores in rows:
        test, real = scores["atlas_test"], scores.get("fields", {})
        cells = (scored(each, 2) for each in (test["macro_f1"], test["lrap"], real.get("lrap")))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    test = finalists["models"]["lenet5"]["0"]
    return [
        *lines,
        "",
        f"With 90 % intervals; n is {test['atlas_test']['lrap']['n']} specimens (simulated test fields) and {test['fields']['lrap']['n']} fields (real). Seed 0 where a model was "
        "trained with several seeds. On the real fields the label prior, which does not use the image, has an LRAP of 0.45.",
    ]


def details(experiments: list[dict[str, Any]], figures: dict[str, Any], others: dict[str, str] | None = None) -> str:
    """Render the page of all tables.

    Args:
        experiments: The experiments in their order.
        figures: The recorded figures by title.
        others: Further sections by name, already rendered.
    """
    parts = [DETAILS_HEAD, *(section(each, figures.get(each["title"])) for each in experiments)]
    return "\n".join([*parts, *(others or {}).values()])


def section(experiment: dict[str, Any], figures: dict[str, Any] | None) -> str:
    """Render one experiment."""
    lines = [f"## {experiment['title']}", "", experiment.get("about", ""), ""]
    if experiment.get("taught"):
        lines += [f"**Lessons.** {experiment['taught']}", ""]
    if figures is None or not figures["rows"]:
        lines += ["No iteration is finished yet.", ""]
        return "\n".join(lines)
    rows = figures["rows"]
    sets = [row["set"] for row in rows]
    group = max(set(sets), key=sets.count)
    lines += [*scores_table(experiment, rows, figures["comparison_groups"][group - 1]["prior"]), ""]
    lines += [*(change_item(experiment, row, group) for row in rows), ""]
    lines += [*other_scores_table(rows), *costs_table(rows), ""]
    if figures["failures"]:
        reasons = [f"{each['name']} ({each['reason']})" for each in figures["failures"]]
        lines += [f"Without figures: {', '.join(reasons)}.", ""]
    if experiment.get("shortlist"):
        lines += shortlist(figures["comparison_groups"][group - 1])
    return "\n".join(lines)


def scores_table(experiment: dict[str, Any], rows: list[dict[str, Any]], baseline: dict[str, float]) -> list[str]:
    """Return the table of scores, gains over the base, and whether an iteration was adopted."""
    lines = ["| iteration | macro-F1 | average precision | LRAP | gain | adopted |", "|---|---:|---:|---:|---:|---|"]
    for row in rows:
        scores = " | ".join(scored(row["figures"][key]) for key in ("macro_f1", "macro_average_precision", "lrap"))
        gain = gained(row["gains"].get("macro_average_precision"))
        lines.append(f"| {row['name']} | {scores} | {gain} | {find_verdict(experiment, row['name'])[0]} |")
    cells = " | ".join(number(baseline[key], 3) for key in ("macro_f1", "macro_average_precision", "lrap"))
    return [*lines, f"| label prior | {cells} | | |"]


def change_item(experiment: dict[str, Any], row: dict[str, Any], group: int) -> str:
    """Return the note of an iteration, its changes, a warning about other fields, and the reason of the verdict."""
    changed = describe_changes((f"`{key}`", then, now) for key, then, now in row["from_base"])
    changes = "The base." if row["name"] == row["base"] else f"Changes: {changed or 'none'}."
    texts = [f"- **{row['name']}**", row["note"], changes]
    if row["set"] != group:
        texts.append(f"*Not comparable: {row['fields']} other validation fields, compared with {row['base']}.*")
    adopted, reason = find_verdict(experiment, row["name"])
    if reason:
        texts.append(f"{'Adopted' if adopted == 'yes' else 'Not adopted'}: {reason}")
    return " ".join(text for text in texts if text)


def find_verdict(experiment: dict[str, Any], name: str) -> tuple[str, str]:
    """Return `yes`, `no` or nothing, and the reason."""
    for word, key in (("yes", "kept"), ("no", "dropped")):
        if name in experiment.get(key, {}):
            return word, experiment[key][name]
    return "", ""


def scored(found: dict[str, Any] | None, digits: int = 3) -> str:
    """Format a score: `0.635 (0.613–0.656)`."""
    if found is None or found["value"] is None:
        return NOTHING
    return f"{number(found['value'], digits)} ({interval(found['low'], found['high'], digits)})"


def gained(found: dict[str, Any] | None) -> str:
    """Format a gain, bold where its interval excludes 0."""
    if found is None or found["value"] is None:
        return ""
    significant = (found["low"] or 0) > 0 or (found["high"] or 0) < 0
    sign = "+" if found["value"] > 0 else ""
    text = f"{sign}{number(found['value'], 3)}"
    return f"{f'**{text}**' if significant else text} ({interval(found['low'], found['high'], 3)})"


def other_scores_table(rows: list[dict[str, Any]]) -> list[str]:
    """Return the table of scores on other fields; empty where there are none."""
    named = list(dict.fromkeys((name, key) for row in rows for name, found in row["scores"].items() for key in found))
    if not named:
        return []
    titles = [f"{SHORT.get(key, key)}, {name}".replace("_", " ") for name, key in named]
    lines = [f"| iteration | {' | '.join(titles)} |", f"|---|{'---:|' * len(named)}"]
    for row in rows:
        scores = (scored(row["scores"].get(name, {}).get(key), 2) for name, key in named)
        lines.append(f"| {row['name']} | {' | '.join(scores)} |")
    return [*lines, ""]


def costs_table(rows: list[dict[str, Any]]) -> list[str]:
    """Return the table of costs."""
    lines = ["| iteration | parameters | GMAC | ms | MB | minutes | epoch |", f"|---|{'---:|' * 6}"]
    return [*lines, *(f"| {row['name']} | {' | '.join([*costs(row), row['epochs']])} |" for row in rows)]


def costs(row: dict[str, Any]) -> list[str]:
    """Format parameters, GMAC, ms, MB and minutes."""
    cost = row["cost"]
    return [
        NOTHING if cost["parameters"] is None else f"{cost['parameters']:,}",
        NOTHING if cost["macs"] is None else f"{cost['macs'] / 1e9:.3g}",
        NOTHING if cost["latency_ms"] is None else f"{cost['latency_ms']:.3g}",
        f"{cost['bytes'] / 1e6:.1f}",
        f"{row['minutes']:.1f}",
    ]


def shortlist(group: dict[str, Any]) -> list[str]:
    """Return the correlation of errors, and the models chosen by greedy ensemble selection."""
    names = group["names"]
    lines = [
        "Similarity of errors: the correlation of the probabilities of two Runs among fields with the same truth, mean over classes.",
        "",
        f"| | {' | '.join(str(number) for number in range(1, len(names) + 1))} |",
        f"|---|{'---:|' * len(names)}",
    ]
    for row, (name, values) in enumerate(zip(names, group["error_correlation"], strict=True)):
        cells = ["" if column == row else number(value and value + 0.0) for column, value in enumerate(values)]
        lines.append(f"| {row + 1} {name} | {' | '.join(cells)} |")
    found = group["shortlist"]
    if found is None:
        return [*lines, ""]
    members = ", ".join(
        f"{name} ({number(share)} of the weight, selected in {times} of 5 folds)"
        for name, share, times in found["members"]
    )
    gains = ", ".join(f"{MEASURES[key]} {scored(found['gains'][key])}" for key in MEASURES)
    scores = ", ".join(f"{MEASURES[key]} {scored(found['figures'][key])}" for key in MEASURES)
    return [
        *lines,
        "",
        f"Models chosen by greedy ensemble selection: {members}. Out-of-fold scores: {scores}. Gain over {found['best']}, the Run with the highest average precision: {gains}.",
        "",
    ]


def finalists(texts: dict[str, Any], found: dict[str, Any]) -> str:
    """Render the finalists: each model and seed, their ensembles and the gains of these, on every set of fields."""
    names = texts.get("names", {})
    order = dict.fromkeys(["label prior", *names, *found["models"]])
    ensembles = {
        f"{texts.get('ensembles', {}).get(members, members)}, seed {seed}": ensemble
        for members, seeds in found["ensembles"].items()
        for seed, ensemble in seeds.items()
    }
    lines = ["## Finalists", "", texts["about"], "", f"**Lessons.** {texts['taught']}", ""]
    for key, (title, measures) in SETS.items():
        rows = [
            (f"{names.get(name, name)}{f', seed {seed}' if len(seeds) > 1 else ''}", scores[key])
            for name in order
            if (seeds := found["models"].get(name))
            for seed, scores in seeds.items()
            if key in scores
        ]
        if not rows:
            continue
        lines += [f"| {title} | {' | '.join(SHORT[each] for each in measures)} |", f"|---|{'---:|' * len(measures)}"]
        lines += [f"| {name} | {' | '.join(scored(scores.get(each)) for each in measures)} |" for name, scores in rows]
        for name, ensemble in ensembles.items():
            if key in ensemble["scores"]:
                cells = (scored(ensemble["scores"][key].get(each)) for each in measures)
                lines.append(f"| **{name}** | {' | '.join(cells)} |")
                cells = (gained(ensemble["gains"][key].get(each)) for each in measures)
                lines.append(f"| gain over {names.get(ensemble['best'], ensemble['best'])} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def left_out(texts: dict[str, Any], found: dict[str, Any]) -> str:
    """Render the scores on cell lines that the training did not contain, over all lines and by line, largest first."""
    titles = "folds by specimen | folds by cell line | gain"
    lines = ["## One cell line left out", "", texts["about"], "", f"**Lessons.** {texts['taught']}", ""]
    lines += [f"| all lines | {titles} |", "|---|---:|---:|---:|"]
    for key, gain in found["gains"].items():
        cells = [scored(found[of][key]) for of in ("others", "left_out")]
        lines.append(f"| {MEASURES[key]} | {' | '.join(cells)} | {gained(gain)} |")
    lines += ["", f"| LRAP by cell line | fields | {titles} |", "|---|---:|---:|---:|---:|"]
    for name, each in sorted(found["lines"].items(), key=lambda item: -item[1]["fields"]):
        cells = [scored(each[of]) for of in ("others", "left_out")]
        lines.append(f"| {name} | {each['fields']:,} | {' | '.join(cells)} | {gained(each['gain'])} |")
    return "\n".join([*lines, ""])


def render() -> dict[Path, str]:
    """Render both pages from the recorded figures."""
    texts = tomllib.loads(WORDS.read_text(encoding="utf-8"))
    figures, final, lines = (json.loads(path.read_text(encoding="utf-8")) for path in (FIGURES, FINALISTS, LEFT_OUT))
    others = {"finalists": finalists(texts["finalists"], final), "left_out": left_out(texts["left_out"], lines)}
    return {OVERVIEW: overview(texts, figures, final), DETAILS: details(read_words(), figures, others)}


def main(arguments: list[str]) -> int:
    """Collect the figures of a folder of Runs, if one is passed, and write the pages."""
    if arguments:
        figures = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.is_file() else {}
        figures |= gather(read_words(), Path(arguments[0]))
        with atomic_write(FIGURES) as part:
            part.write_text(json.dumps(figures, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    for path, text in render().items():
        with atomic_write(path) as part:
            part.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
