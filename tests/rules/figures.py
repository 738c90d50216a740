"""Figures of the house, read from the source: for the table in CONTRIBUTING.md.

python -m tests.rules.figures            writes the table
"""

import ast
import functools
import statistics
from pathlib import Path

import foldin
from foldin.models import MODELS, Recommender
from foldin.training import settings_of
from tests.rules.test_rules import inner, room, upward

__all__ = ["CONTRIBUTING", "LONG", "figures", "long_functions", "table"]

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "foldin"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
BEGIN, END = "<!-- figures -->\n", "<!-- end -->\n"
LINES = 60  # of a function, above which it needs a reason
# Functions that are longer, each with its reason.
LONG: dict[str, str] = {
    "cli/compare.py::command": "a signature of 20 options and their help",
    "cli/explain.py::command": "a signature of 12 options and their help",
    "cli/fit.py::command": "a signature of 20 options and their help",
    "cli/recommend.py::command": "a signature of 16 options and their help",
    "cli/serve.py::command": "a signature of 15 options and their help",
    "cli/tune.py::command": "a signature of 14 options and their help",
    "data/splits/given.py::read_given": "two layouts of a folder that share all but their last step",
    "diffusion/flow.py::log_likelihood_by_flow": "a docstring that derives what is computed",
    "evaluation/evaluate.py::evaluate": "a docstring of 10 arguments, and one pass over blocks of users",
    "experiment/training.py::train": "a docstring of 15 arguments, handed on to fit and evaluate",
    "experiment/tuning.py::tune": "a docstring of 16 arguments, and the loop over trials",
    "inference/black_box.py::black_box_vi": "the loop of the estimator as its paper writes it",
    "inference/bounds.py::bound_report": "one report, a key after the other",
    "inference/refine.py::refine_gaussian": "the loop of the refinement, with what it remembers between steps",
    "reports/explanation.py::explain": "one report, a key after the other",
    "training/fit.py::_fit": "the only training loop: split, it would pass its state around",
    "training/fit.py::fit": "a docstring of 15 arguments, handed on to the loop",
}
# The same at commit 724c5b6, before the house was rebuilt.
BEFORE = (
    "0, 0",
    "247, 114",
    "`serve/schemas.py`, 345 lines",
    "11 (of `blocks`)",
    "26",
    "23 (`sasrec`)",
    "3",
    "16",
    "32",
)


@functools.cache
def _files() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


@functools.cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def _imported(path: Path) -> list[tuple[str, str]]:
    return [
        (node.module, alias.name)
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    ]


def upward_imports() -> set[tuple[str, str]]:
    """(file, room) of imports that point up."""
    return {
        (str(path.relative_to(SOURCE)), other)
        for path in _files()
        if path != SOURCE / "__init__.py"
        for other in upward(room(path), inner(path))
    }


def circles() -> set[tuple[str, str]]:
    """Pairs of rooms that import each other."""
    edges = {(room(path), other) for path in _files() if path != SOURCE / "__init__.py" for other in inner(path)}
    return {(a, b) for a, b in edges if a != b and (b, a) in edges}


def long_functions() -> dict[str, int]:
    """`file::function` → lines, of functions above the limit; signature and docstring count, decorators do not."""
    found = {}
    for path in _files():
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
                lines = node.end_lineno - node.lineno + 1
                if lines > LINES:
                    found[f"{path.relative_to(SOURCE)}::{node.name}"] = lines
    return found


def single_consumers() -> list[str]:
    """Files of `kernels` and `nn` whose public names one other file of the library uses."""
    found = []
    for folder in ("kernels", "nn"):
        for path in sorted((SOURCE / folder).glob("*.py")):
            if path.stem == "__init__":
                continue
            names = {
                element.value
                for node in _tree(path).body
                if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"
                for element in node.value.elts
            }
            modules = {f"foldin.{folder}", f"foldin.{folder}.{path.stem}"}
            users = {
                other
                for other in _files()
                if other not in (path, SOURCE / folder / "__init__.py")
                and any(module in modules and name in names for module, name in _imported(other))
            }
            if len(users) == 1:
                found.append(f"{folder}/{path.name}")
    return found


def isinstance_on_models() -> list[str]:
    """Places outside `models/capability.py` that ask for the class of a model."""
    kinds = {MODELS[name].model_class.__name__ for name in MODELS} | {Recommender.__name__, "PopularStart"}
    kinds |= {"PosteriorSampler", "BoundedLikelihood", "LatentPosterior", "DotProduct", "Components"}
    kinds |= {"ItemTokens", "ItemFeatures", "OnnxGraph"}
    found = []
    for path in _files():
        if path == SOURCE / "models" / "capability.py":
            continue
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "isinstance" and len(node.args) == 2:
                asked = {one.id for one in ast.walk(node.args[1]) if isinstance(one, ast.Name)}
                if asked & kinds:
                    found.append(f"{path.relative_to(SOURCE)}:{node.lineno}")
    return found


def figures() -> dict[str, str]:
    """What is measured → its figure."""
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in _files()}
    largest = max(lines, key=lambda path: lines[path])
    own = {name: [one for one in settings_of(MODELS[name]) if "." not in one] for name in MODELS}
    most = max(own, key=lambda name: len(own[name]))
    long = long_functions()
    single = single_consumers()
    return {
        "upward imports, and circles among rooms": f"{len(upward_imports())}, {len(circles())}",
        "files, and lines of the median one": f"{len(lines)}, {statistics.median(lines.values()):.0f}",
        "largest file": f"`{largest.relative_to(SOURCE)}`, {lines[largest]} lines",
        "files of `kernels` and `nn` with a single consumer": f"{len(single)}: {', '.join(f'`{one}`' for one in single)}",
        "`isinstance` on models outside `models/capability.py`": str(len(isinstance_on_models())),
        "most settings of a configuration": f"{len(own[most])} (`{most}`)",
        f"functions over {LINES} lines in `serve`": str(sum(one.startswith("serve/") for one in long)),
        f"functions over {LINES} lines elsewhere": str(sum(not one.startswith("serve/") for one in long)),
        "public names at the top level": str(len(foldin.__all__)),
    }


def table() -> str:
    """The figures as rows of Markdown, and the long functions with their reasons."""
    pairs = zip(figures().items(), BEFORE, strict=True)
    rows = "".join(f"| {what} | {before} | {figure} |\n" for (what, figure), before in pairs)
    reasons = "".join(f"* `{name}`: {LONG.get(name, 'no reason yet')}\n" for name in sorted(long_functions()))
    head = "| figure | before (commit 724c5b6) | now |\n| --- | --- | --- |\n"
    return f"{head}{rows}\nFunctions over {LINES} lines, and why:\n\n{reasons}"


def main() -> None:
    text = CONTRIBUTING.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    CONTRIBUTING.write_text(f"{before}{BEGIN}{table()}{END}{rest.split(END, 1)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
