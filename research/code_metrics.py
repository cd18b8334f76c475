"""Count what makes the code easy or hard to read: size, imports, and the words that readers search for.

    python research/code_metrics.py [ROOT]

An arrow is an import of one own module by another; a cycle, two modules that import each other, wherever the import
is written. The words to avoid and the words to find are those of the project's style guide (CONTRIBUTING.md).
"""

from __future__ import annotations

import argparse
import ast
import json
import re
from pathlib import Path

AVOIDED = (
    r"places?", r"drawn", r"drawings?", r"draws?", r"told", r"likeness", r"alike", r"glances?", r"parted", r"folded",
    r"vary", r"varied", r"taken back", r"learns? by heart", r"strangers?", r"whole antibodies", r"first three",
    r"goes on", r"go on", r"is said", r"of its own", r"that which", r"mend(?:ed|s)?", r"whom", r"stands",
)  # fmt: skip
SEARCHED = (
    "transfer learning", "fine-tuning", "hyperparameter", "data augmentation", "test-time augmentation",
    "receptive field", "class imbalance", "early stopping", "inference", "preprocessing", "overfitting", "threshold",
    "calibration", "confusion", "heat map", "embedding", "out-of-distribution",
)  # fmt: skip


def module_of(path: Path, source: Path) -> str:
    """Return the dotted name of a source file."""
    parts = path.relative_to(source).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(tree: ast.AST, modules: set[str]) -> set[str]:
    """Return the own modules that a syntax tree imports, at any depth."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                deeper = f"{node.module}.{alias.name}"
                found.add(deeper if deeper in modules else node.module)
    return found & modules


def count_words(texts: list[str], words: tuple[str, ...]) -> dict[str, int]:
    """Return how often each expression occurs, whatever its case."""
    whole = "\n".join(texts)
    return {word: len(re.findall(rf"\b(?:{word})\b", whole, re.IGNORECASE)) for word in words}


def count_quoted(tree: ast.AST) -> int:
    """Return how many annotations are written as text, or hold text other than the values of a Literal."""
    count = 0
    for node in ast.walk(tree):
        for note in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            if not isinstance(note, ast.expr):
                continue
            values = {
                inner for part in ast.walk(note)
                if isinstance(part, ast.Subscript) and getattr(part.value, "id", "") in ("Literal", "Annotated")
                for inner in ast.walk(part)
            }  # fmt: skip
            count += any(
                isinstance(part, ast.Constant) and isinstance(part.value, str) and part not in values
                for part in ast.walk(note)
            )
    return count


def measure(root: Path) -> dict[str, object]:
    """Return the figures of a checkout."""
    source = root / "src"
    files = sorted(source.rglob("*.py"))
    trees = {module_of(path, source): ast.parse(path.read_text(encoding="utf-8")) for path in files}
    modules = set(trees)
    arrows = {(name, other) for name, tree in trees.items() for other in imports_of(tree, modules) if other != name}
    functions = [
        node for tree in trees.values() for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]  # fmt: skip
    local = {
        inner for function in functions for inner in ast.walk(function)
        if (isinstance(inner, ast.ImportFrom) and (inner.module or "").split(".")[0] == "lociscope")
        or (isinstance(inner, ast.Import) and inner.names[0].name.split(".")[0] == "lociscope")
    }  # fmt: skip
    quoted = sum(map(count_quoted, trees.values()))
    code = [path.read_text(encoding="utf-8") for path in files]
    pages = [path.read_text(encoding="utf-8") for path in [*sorted((root / "docs").rglob("*.md")), root / "README.md"]]
    avoided, searched = count_words(code + pages, AVOIDED), count_words(pages, SEARCHED)
    return {
        "lines": sum(text.count("\n") for text in code),
        "modules": len(files),
        "arrows": len(arrows),
        "cycles of two": sum((other, name) in arrows for name, other in arrows) // 2,
        "imports of own modules in functions": len(local),
        "quoted annotations": quoted,
        "avoided words": sum(avoided.values()),
        "searched words in docs": sum(searched.values()),
        "searched words that docs lack": [word for word, count in searched.items() if not count],
        "by word": avoided,
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path, nargs="?", default=Path(__file__).parents[1])
    print(json.dumps(measure(parser.parse_args().root), indent=2))


if __name__ == "__main__":
    main()
