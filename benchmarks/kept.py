"""The kept results of benchmarks and reproductions: when and where each was measured, and whether its code has changed since.

python benchmarks/kept.py                 a line for each kept result, or for each of its tables that has a commit of its own
python benchmarks/kept.py --changed       those alone that are older than their code, with the files that changed
python benchmarks/kept.py --page FILE     the lines as a page of the documentation too

A result depends on its script, on the scripts that this imports or starts, and on the modules of foldin that these name, followed
through their imports; of the models, on those whose names the scripts spell out, and on their lines alone of the table of models.
`common.py` and `tiny.py` only start scripts and keep results; what only shows something (`SHOWN`) is in no figure. A file has
changed when its code has: comments, docstrings, layout, messages of errors, and help and search ranges of settings do not count.

Figures of quality outlive a change of the code that leaves every loss and metric equal to the bit. Every test run compares the
golden files (`tests/golden`) with the code of today; `tests/golden/earlier.json` says which of them earlier commits give too.
A reproduction is covered when all golden cases that stand for its models are the same.
"""

import argparse
import ast
import functools
import json
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Kept", "changed_since", "dependencies", "kept_results"]

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"
FOLDERS = ("benchmarks", "reproductions")
PLUMBING = ("common.py", "tiny.py", "kept.py")
STARTED = {'"-m", "foldin", "serve"': "foldin.serve.server"}  # what a script runs in a process of its own, and its code
REGISTRY = SOURCE / "foldin" / "models" / "registry.py"
# What shows results and formulas, and computes none.
SHOWN = [
    SOURCE / "foldin" / name
    for name in ("serve/studio", "formulas", "reports/page.py", "reports/charts.py", "reports/equations.py")
]
GOLDEN = ROOT / "tests" / "golden"
LINEAR = ("popularity", "itemknn", "ease", "als")
# The golden cases that stand for the models of a reproduction; of a table that has models of its own, under its name.
CASES: dict[str, tuple[str, ...]] = {
    "reproductions/factors": ("mixture", "plsa", "lda", "poisson", "ease"),
    "reproductions/multvae": (*LINEAR, "multdae", "multvae"),
    "reproductions/recvae": ("ease", "multvae", "recvae"),
    "reproductions/sasrec": ("popularity", "ease", "multvae", "sasrec", "sasrec-plain-bce", "sasrec-gbce", "sasrec-sampled"),
    "reproductions/semantic": ("popularity", "sasrec", "sasrec-codes", "semantic", "semantic-rq-vae", "semantic-random"),
    **{f"reproductions/semantic (amazon-beauty, {part})": ("semantic",) for part in ("text", "new", "beam")},
    "reproductions/diffrec": (
        *LINEAR, "itemknn-oldest", "ease-oldest", "multvae", "multvae-shallow", "recvae", "diffrec", "diffrec-oldest",
        "diffrec-multinomial", "l-diffrec", "l-diffrec-plain",
    ),
    "reproductions/aevb": ("generative-vae",),
    "reproductions/vae_likelihood": ("generative-vae-dynamic", "generative-vae-vamp"),
    "reproductions/vqvae": ("generative-vqvae", "generative-code-prior", "generative-vae-logistic"),
    "reproductions/ddpm": (
        "generative-diffusion", "generative-vae-logistic", "generative-vqvae", "generative-code-prior",
    ),
    "reproductions/diffrec (diffrec-ml-1m-clean, bound)": (),  # no golden case holds a bound
}  # fmt: skip
AS_MEASURED, COVERED = "as measured", "equal by the golden files"


@dataclass(frozen=True)
class Kept:
    """A kept result, or one table of it.

    Args:
        name: of the script, and of the table where each has a commit of its own.
        script: that made it.
        commit: of the code that was measured; with a + where files differed from it.
        date, machine: of the measurement.
    """

    name: str
    script: Path
    commit: str
    date: str
    machine: str


def kept_results() -> list[Kept]:
    """Every kept result, by name."""
    found = []
    for folder in FOLDERS:
        for path in sorted((ROOT / folder / "results").glob("*.json")):
            content = json.loads(path.read_text(encoding="utf-8"))
            script = ROOT / folder / f"{path.stem}.py"
            tables = {name: about for name, about in content.get("reports", {}).items() if "commit" in about}
            for name, about in (tables or {"": content}).items():
                label = f"{folder}/{path.stem}" + (f" ({name})" if name else "")
                date = about.get("date", content["date"])
                found.append(Kept(label, script, about["commit"], date, content["machine"]))
    return found


@functools.cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _module(name: str) -> Path | None:
    """The file of a module of foldin."""
    path = SOURCE.joinpath(*name.split("."))
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file():
            return file
    return None


@functools.cache
def _imports(path: Path) -> tuple[tuple[str, str | None], ...]:
    """(module, name taken from it or None) of every import in a file."""
    found: list[tuple[str, str | None]] = []
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found += [(node.module, alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [(alias.name, None) for alias in node.names]
    return tuple(found)


@functools.cache
def _of_name(module: str, name: str | None) -> Path | None:
    """The file that a name of a module of foldin is defined in; a package only passes names on."""
    file = _module(module)
    if file is None or name is None or file.name != "__init__.py":
        return file
    if _module(f"{module}.{name}") is not None:
        return _module(f"{module}.{name}")
    for origin, passed_on in _imports(file):
        if passed_on == name and origin.startswith("foldin"):
            return _of_name(origin, name)
    return file


@functools.cache
def _models() -> dict[str, str]:
    """Class → name, of the registered models."""
    pairs = re.findall(r'"([\w-]+)": (\w+)', REGISTRY.read_text(encoding="utf-8"))
    return {kind: name for name, kind in pairs}


@functools.cache
def dependencies(script: Path) -> frozenset[Path]:
    """The files that a script's result depends on, itself among them."""
    scripts, waiting = set(), [script]
    while waiting:
        one = waiting.pop()
        if one in scripts or one.name in PLUMBING:
            continue
        scripts.add(one)
        text = one.read_text(encoding="utf-8")
        beside = {f"{module.split('.')[0]}.py" for module, _ in _imports(one)} | set(re.findall(r'"(\w+\.py)"', text))
        waiting += [
            ROOT / folder / name for folder in FOLDERS for name in sorted(beside) if (ROOT / folder / name).is_file()
        ]
    texts = "\n".join(one.read_text(encoding="utf-8") for one in scripts)
    spelled = set(re.findall(r'"([a-z][a-z-]*)(?: [^"]*)?"', texts))
    idle = {_of_name("foldin.models", kind) for kind, name in _models().items() if name not in spelled}
    started = [file for command, name in STARTED.items() if command in texts and (file := _module(name)) is not None]
    found = set(started)
    files = [*scripts, *started]
    while files:
        file = files.pop()
        for module, name in _imports(file):
            origin = _of_name(module, name) if module.split(".")[0] == "foldin" else None
            # The table of models names all of them; a script runs those that it spells out.
            if origin is None or origin in found or (file == REGISTRY and origin in idle):
                continue
            if any(origin.is_relative_to(shown) for shown in SHOWN):
                continue
            found.add(origin)
            files.append(origin)
    return frozenset(found | scripts)


@functools.cache
def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


@functools.cache
def _code(text: str) -> str:
    """A file's code without comments, docstrings, layout, messages of errors, and help and search ranges of settings."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            node.exc.args = []
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "setting":
            node.args = node.args[:1]
            node.keywords = [one for one in node.keywords if one.arg != "range"]
        if isinstance(node, ast.ImportFrom):
            node.names = [one for one in node.names if one.name != "Range"]
    return ast.dump(tree)


def _table_code(text: str, classes: frozenset[str]) -> str:
    """The code of the table of models with the lines of some classes alone: a model that is added changes no other."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            node.names = [one for one in node.names if not one.name.endswith("Config") or one.name in classes]
        elif isinstance(node, ast.Dict):
            kept = [
                (key, value)
                for key, value in zip(node.keys, node.values, strict=True)
                if not isinstance(value, ast.Name) or not value.id.endswith("Config") or value.id in classes
            ]
            node.keys, node.values = [key for key, _ in kept], [value for _, value in kept]
    tree.body = [node for node in tree.body if not isinstance(node, ast.ImportFrom) or node.names]
    return _code(ast.unparse(tree))


@functools.cache
def _codes(blobs: frozenset[str]) -> dict[str, str]:
    """The code of objects, read by one call of git."""
    wanted = sorted(blobs)
    told = subprocess.run(
        ["git", "cat-file", "--batch"], cwd=ROOT, input="\n".join(wanted).encode(), capture_output=True, check=True
    ).stdout
    found, at = {}, 0
    for blob in wanted:
        end = told.index(b"\n", at)
        size = int(told[at:end].split()[2])
        found[blob] = _code(told[end + 1 : end + 1 + size].decode("utf-8"))
        at = end + 2 + size
    return found


@functools.cache
def _blobs(commit: str) -> dict[str, str]:
    """The object of each file of a commit."""
    lines = (line.split(maxsplit=3) for line in _git("ls-tree", "-r", commit).stdout.splitlines())
    return {name: blob for _, _, blob, name in lines}


def changed_since(kept: Kept) -> list[str] | None:
    """The files that a result depends on and whose code has changed since; None where git does not know the commit."""
    commit = kept.commit.rstrip("+")
    if _git("cat-file", "-e", f"{commit}^{{commit}}").returncode:
        return None
    files = {str(path.relative_to(ROOT)): path for path in dependencies(kept.script)}
    then = _blobs(commit)
    before = dict(_codes(frozenset(then[name] for name in files if name in then)))
    now = {name: _code(path.read_text(encoding="utf-8")) for name, path in files.items()}
    table = str(REGISTRY.relative_to(ROOT))
    if table in files and table in then:
        used = frozenset(kind for kind in _models() if _of_name("foldin.models", kind) in dependencies(kept.script))
        before[then[table]] = _table_code(_git("cat-file", "blob", then[table]).stdout, used)
        now[table] = _table_code(REGISTRY.read_text(encoding="utf-8"), used)
    return sorted(name for name in files if name not in then or before[then[name]] != now[name])


def covered(kept: Kept) -> bool:
    """Whether the golden files show that the code of today has the losses and metrics of the code that was measured."""
    labels = [label for label in CASES if kept.name.startswith(label)]
    cases = CASES[max(labels, key=len)] if labels else ()
    if not cases:
        return False
    golden = json.loads((GOLDEN / "provenance.json").read_text(encoding="utf-8"))["commit"]
    commit = kept.commit.rstrip("+")
    if _git("merge-base", "--is-ancestor", golden, commit).returncode == 0:
        return True
    earlier = json.loads((GOLDEN / "earlier.json").read_text(encoding="utf-8"))
    return set(cases) <= set(earlier.get(commit, ()))


def state(kept: Kept) -> str:
    """How a result stands to the code of today, in words."""
    changed = changed_since(kept)
    if changed is None:
        return "its commit is not in this repository"
    if not changed:
        return AS_MEASURED
    many = f"{len(changed)} of {len(dependencies(kept.script))} files changed since"
    return f"{COVERED}; {many}" if covered(kept) else many


def stands(how: str) -> bool:
    """Whether figures of that state are those of the code of today."""
    return how.startswith((AS_MEASURED, COVERED))


def page(lines: Sequence[tuple[Kept, str]]) -> str:
    """A page of the documentation: a row for each result, older figures marked."""
    rows = "\n".join(
        f"| {one.name}{'' if stands(how) else ' †'} | `{one.commit}` | {one.date[:10]} | {how} | {one.machine} |"
        for one, how in lines
    )
    return (
        "# When each figure was measured\n\nWritten by `make results`. † marks figures that are older than the code they "
        "measured; comments, docstrings, layout, messages of errors, help and search ranges do not "
        "count as changes. A + behind a commit "
        "says that files differed from it. “Equal by the golden files”: code has changed since, and the golden files show "
        "that the losses and the metrics of the models in question are still equal to the bit, so that figures of quality "
        "stand; seconds among them are those of that day.\n\n"
        f"| result | commit | date | code | machine |\n| --- | --- | --- | --- | --- |\n{rows}\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--changed", action="store_true", help="only results older than their code, with the files")
    parser.add_argument("--page", type=Path, help="where the page of the documentation goes")
    options = parser.parse_args()
    lines = [(kept, state(kept)) for kept in kept_results()]
    for kept, how in lines:
        if options.changed and stands(how):
            continue
        print(f"{kept.name:58} {kept.commit:9} {kept.date[:10]}  {how}  [{kept.machine}]")
        if options.changed and (changed := changed_since(kept)):
            print("    " + "\n    ".join(changed))
    if options.page is not None:
        options.page.write_text(page(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
