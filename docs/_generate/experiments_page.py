"""Makes docs/logbooks/experiments.md, the logbook of the experiments.

    python docs/_generate/experiments_page.py RUNS_DIR > docs/logbooks/experiments.md
    python docs/_generate/experiments_page.py > docs/logbooks/experiments.md

The finalists' figures are those that `research/finalists.py … --json research/logbooks/finalists.json` kept, those of
cell lines left out those of `research/left_out.py … --json research/logbooks/left_out.json`.

The first gathers the figures of all Runs in RUNS_DIR (as `lociscope compare` does; networks whose cost is not kept in
their Run are loaded once) and keeps them in research/logbooks/experiments.json, where experiments that have no Run in
RUNS_DIR keep theirs; the second makes the page of what is kept.
research/logbooks/experiments.toml holds what no Run knows: the order, the words and the verdicts.
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
HEAD = """# Experiments

Every iteration is a Run, and this page is made of the Runs (`docs/_generate/experiments_page.py`); losers are shown. The command and the recipe of each lie in
`research/experiments/`; [how Runs are compared](../how-to/compare.md).

Scores are on the validation fields, with 90 % intervals, specimens drawn whole where they are known. Macro-F1 is at one threshold for all classes, cross-fitted in five folds.
The gain is in macro average precision over the base, paired; it is in bold where its interval leaves 0 out. The epoch was chosen on the same
fields by its loss, and the best of many is the best partly by luck. "Kept: yes" is a verdict within the budget; what the networks at full length took over stands under Shortlist.
Real fields are those of `research/real_fields.py`: no network was fitted to them, but they steered the drawing (see the
[simulation's logbook](simulation.md)), so that they flatter.
GMAC, ms and MB are those of one field and one network; ms in ONNX Runtime on one core; ms and minutes on a machine that did other things
too: GMAC compares better. With a Catalog `data.fields` has no effect, and `train.epochs` has none where there are stages. Numbers that are missing were not run.
"""


SETS = {
    "atlas_test": ("frozen test part", ("macro_f1", "macro_average_precision", "lrap", "macro_auc")),
    "atlas_lines": ("frozen part of strangers", ("macro_f1", "macro_average_precision", "lrap")),
    "strangers": ("more strangers (972), rare places lifted", ("macro_f1", "macro_average_precision", "lrap")),
    "fields": ("real fields", ("lrap", "macro_auc")),
    "dictionary": ("pictures of the HPA dictionary", ("dictionary_lrap", "dictionary_top3")),
}
"""What finalists are scored on, in words, and the scores that are shown."""
SHORT = MEASURES | {"dictionary_lrap": "LRAP", "dictionary_top3": "among the first three"}


def read_words(path: Path = WORDS) -> list[dict[str, Any]]:
    """The experiments in their order."""
    return list(tomllib.loads(path.read_text(encoding="utf-8"))["experiment"])


def gather(words: list[dict[str, Any]], runs: Path) -> dict[str, Any]:
    """The figures of every experiment that has a Run, by its title."""
    found = {}
    for experiment in words:
        folders = folders_of(experiment, runs)
        if folders:
            found[experiment["title"]] = gathered(folders, experiment.get("base"))
    return found


def folders_of(experiment: dict[str, Any], runs: Path) -> list[Path]:
    """The Runs of an experiment, in order; none where not one of them is there."""
    if "runs" in experiment:
        named = [runs / name for name in experiment["runs"]]
        return named if any(each.is_dir() for each in named) else []
    folder = runs / str(experiment["folder"])
    return sorted(
        each for each in folder.glob("*") if (each / "recipe.toml").is_file() or (each / Folds.FILE).is_file()
    )


def gathered(folders: list[Path], base: str | None) -> dict[str, Any]:
    """Rows as `lociscope compare --json` gives them, what could not be read, likeness of errors, and a shortlist."""
    try:
        read = read_candidates(folders, quick=False)
        candidates, failures = read.found, read.failures
    except LociscopeError:
        return {"rows": [], "failures": [], "comparison_groups": []}
    if base is not None and base not in {each.name for each in candidates}:
        raise LociscopeError(f"The base {base!r} is none of {', '.join(each.name for each in candidates)}. Name one.")
    comparison_groups = compare_candidates(candidates, base)
    return {
        "rows": build_rows(candidates, comparison_groups),
        # A reason may name a path of the machine that gathers: the page says only whose it is.
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


# === The page ===


def page(words: list[dict[str, Any]] | None = None, figures: dict[str, Any] | None = None) -> str:
    """The whole page, by default of what is kept."""
    known = json.loads(FIGURES.read_text(encoding="utf-8")) if figures is None else figures
    parts = [HEAD, *(section(each, known.get(each["title"])) for each in words or read_words())]
    if figures is None:
        words_of = tomllib.loads(WORDS.read_text(encoding="utf-8"))
        for name, file, make in (("finalists", FINALISTS, finalists), ("left_out", LEFT_OUT, left_out)):
            if file.is_file():
                parts.append(make(words_of[name], json.loads(file.read_text(encoding="utf-8"))))
    return "\n".join(parts)


def section(experiment: dict[str, Any], figures: dict[str, Any] | None) -> str:
    """One experiment."""
    lines = [f"## {experiment['title']}", "", experiment.get("about", ""), ""]
    if figures is None or not figures["rows"]:
        lines += ["No iteration is finished yet.", ""]
        return "\n".join(lines)
    rows = figures["rows"]
    sets = [row["set"] for row in rows]
    group = max(set(sets), key=sets.count)
    lines += [*changes_table(experiment, rows, group, figures["comparison_groups"][group - 1]["prior"]), ""]
    lines += [*elsewhere_table(rows), ""]
    if figures["failures"]:
        reasons = [f"{each['name']} ({each['reason']})" for each in figures["failures"]]
        lines += [f"Without figures: {', '.join(reasons)}.", ""]
    if experiment.get("shortlist"):
        lines += shortlist(figures["comparison_groups"][group - 1])
    if experiment.get("taught"):
        lines += [experiment["taught"], ""]
    return "\n".join(lines)


def changes_table(
    experiment: dict[str, Any], rows: list[dict[str, Any]], group: int, baseline: dict[str, float]
) -> list[str]:
    """What was changed and why, the scores, the gain over the base, and the verdict."""
    base = next(row["base"] for row in rows if row["set"] == group)
    lines = [
        f"| iteration | why, and what differs from {base} | macro-F1 | average precision | LRAP | gain | kept |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    for row in rows:
        scores = " | ".join(scored(row["figures"][key]) for key in ("macro_f1", "macro_average_precision", "lrap"))
        lines.append(
            f"| {row['name']} | {why(row, group)} | {scores} | {gained(row['gains'].get('macro_average_precision'))} | {verdict(experiment, row['name'])} |"
        )
    cells = " | ".join(number(baseline[key], 3) for key in ("macro_f1", "macro_average_precision", "lrap"))
    return [*lines, f"| label prior | never looks at the picture | {cells} | | |"]


def why(row: dict[str, Any], group: int) -> str:
    """The note, what differs, and a warning where the fields are not those of most."""
    changed = describe_changes((f"`{key}`", then, now) for key, then, now in row["from_base"])
    differs = "the base" if row["name"] == row["base"] else changed or "nothing"
    words = [row["note"].replace("|", "\\|"), f"({differs})"]
    if row["set"] != group:
        words.append(f"*{row['fields']} other validation fields, from {row['base']}: no comparison.*")
    return " ".join(word for word in words if word)


def verdict(experiment: dict[str, Any], name: str) -> str:
    """`yes` or `no`, and the sentence on why."""
    for word, key in (("yes", "kept"), ("no", "dropped")):
        if name in experiment.get(key, {}):
            said = experiment[key][name]
            return f"{word}: {said}" if said else word
    return ""


def scored(found: dict[str, Any] | None, digits: int = 3) -> str:
    """`0.635 (0.613–0.656)`."""
    if found is None or found["value"] is None:
        return NOTHING
    return f"{number(found['value'], digits)} ({interval(found['low'], found['high'], digits)})"


def gained(found: dict[str, Any] | None) -> str:
    """A gain, bold where it is sure."""
    if found is None or found["value"] is None:
        return ""
    sure = (found["low"] or 0) > 0 or (found["high"] or 0) < 0
    sign = "+" if found["value"] > 0 else ""
    text = f"{sign}{number(found['value'], 3)}"
    return f"{f'**{text}**' if sure else text} ({interval(found['low'], found['high'], 3)})"


def elsewhere_table(rows: list[dict[str, Any]]) -> list[str]:
    """What others measured, and what it costs."""
    named = list(dict.fromkeys((name, key) for row in rows for name, found in row["scores"].items() for key in found))
    titles = [f"{key}, {name}".replace("_", " ") for name, key in named]
    lines = [
        f"| iteration | {' | '.join([*titles, 'parameters', 'GMAC', 'ms', 'MB', 'minutes', 'epoch'])} |",
        f"|---|{'---:|' * (len(named) + 6)}",
    ]
    for row in rows:
        found = [scored(row["scores"].get(name, {}).get(key), 2) for name, key in named]
        lines.append(f"| {row['name']} | {' | '.join([*found, *costs(row), row['epochs']])} |")
    return lines


def costs(row: dict[str, Any]) -> list[str]:
    """Parameters, GMAC, ms, MB and minutes."""
    cost = row["cost"]
    return [
        NOTHING if cost["parameters"] is None else f"{cost['parameters']:,}",
        NOTHING if cost["macs"] is None else f"{cost['macs'] / 1e9:.3g}",
        NOTHING if cost["latency_ms"] is None else f"{cost['latency_ms']:.3g}",
        f"{cost['bytes'] / 1e6:.1f}",
        f"{row['minutes']:.1f}",
    ]


def shortlist(group: dict[str, Any]) -> list[str]:
    """How alike the Runs err, and whom greedy selection combines."""
    names = group["names"]
    lines = [
        "How alike they err: the correlation of two Runs' probabilities among fields of the same truth, mean over classes.",
        "",
        f"| | {' | '.join(str(place) for place in range(1, len(names) + 1))} |",
        f"|---|{'---:|' * len(names)}",
    ]
    for place, (name, values) in enumerate(zip(names, group["error_correlation"], strict=True)):
        cells = ["" if column == place else number(value and value + 0.0) for column, value in enumerate(values)]
        lines.append(f"| {place + 1} {name} | {' | '.join(cells)} |")
    found = group["shortlist"]
    if found is None:
        return [*lines, ""]
    members = ", ".join(
        f"{name} ({number(share)} of the weight, chosen in {times} of 5 folds)"
        for name, share, times in found["members"]
    )
    gains = ", ".join(f"{MEASURES[key]} {scored(found['gains'][key])}" for key in MEASURES)
    scores = ", ".join(f"{MEASURES[key]} {scored(found['figures'][key])}" for key in MEASURES)
    return [
        *lines,
        "",
        f"Greedy selection combines {members}. Cross-fitted: {scores}. Above {found['best']}, the one of the highest average precision: {gains}.",
        "",
    ]


def finalists(words: dict[str, Any], found: dict[str, Any]) -> str:
    """The finalists: each model and seed, their ensembles, and what these gain, on every set."""
    names = words.get("names", {})
    order = dict.fromkeys(["label prior", *names, *found["models"]])
    ensembles = {
        f"{words.get('ensembles', {}).get(members, members)}, seed {seed}": ensemble
        for members, seeds in found["ensembles"].items()
        for seed, ensemble in seeds.items()
    }
    lines = ["## Finalists", "", words["about"], ""]
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
    return "\n".join([*lines, words["taught"], ""])


def left_out(words: dict[str, Any], found: dict[str, Any]) -> str:
    """The last section: what a cell line costs that was not seen, over all lines and by line, the largest first."""
    titles = "folds by specimen | folds by cell line | gain"
    lines = ["## One cell line left out", "", words["about"], "", f"| all lines | {titles} |", "|---|---:|---:|---:|"]
    for key, gain in found["gains"].items():
        cells = [scored(found[of][key]) for of in ("others", "left_out")]
        lines.append(f"| {MEASURES[key]} | {' | '.join(cells)} | {gained(gain)} |")
    lines += ["", f"| LRAP of the line | fields | {titles} |", "|---|---:|---:|---:|---:|"]
    for name, each in sorted(found["lines"].items(), key=lambda item: -item[1]["fields"]):
        cells = [scored(each[of]) for of in ("others", "left_out")]
        lines.append(f"| {name} | {each['fields']:,} | {' | '.join(cells)} | {gained(each['gain'])} |")
    return "\n".join([*lines, "", words["taught"], ""])


def main(arguments: list[str]) -> int:
    """Gathers where a folder is named, and prints the page."""
    words = read_words()
    if arguments:
        figures = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.is_file() else {}
        figures |= gather(words, Path(arguments[0]))
        with atomic_write(FIGURES) as part:
            part.write_text(json.dumps(figures, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    print(page(words), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
