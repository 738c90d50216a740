"""The kept results of benchmarks and reproductions: when and where each was measured, and whether its code has changed since.

python benchmarks/kept.py                 a line for each kept result, or for each of its tables that has a commit of its own
python benchmarks/kept.py --changed       those alone that are older than their code, with what changed
python benchmarks/kept.py --page FILE     the lines as a page of the documentation too

A result depends on its script, on the scripts that this starts, and on the definitions of foldin and of other scripts that these
can reach by name (`reached.py`); of the models, on those whose names the scripts spell out, and on their lines alone of the
table of models.
`common.py` and `tiny.py` only start scripts and keep results; what only shows something (`SHOWN`) is in no figure. A definition
has changed when its code has: comments, docstrings, layout, messages of errors, and help and search ranges of settings do not
count.

Figures of quality outlive a change of the code that leaves every loss and metric equal to the bit. Every test run compares the
golden files (`tests/golden`) with the code of today; `tests/golden/earlier.json` says which of them earlier commits give too.
A reproduction is covered when all golden cases that stand for its models are the same.
"""

import argparse
import functools
import json
import re
import subprocess
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from definitions import Module
from reached import reached

__all__ = ["Kept", "changed_since", "dependencies", "kept_results"]

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"
FOLDERS = ("benchmarks", "reproductions")
PLUMBING = ("common.py", "tiny.py", "kept.py", "reached.py", "definitions.py")
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
    "reproductions/diffrec (diffrec-ml-1m-clean, bound)": ("diffrec-multinomial", "bounds-diffrec"),
    "reproductions/explain": ("multvae-shallow", "recvae", "bounds-multvae", "bounds-recvae"),
    "reproductions/semantic (amazon-beauty, names)": ("tokens-k-means", "tokens-rq-vae", "semantic-rq-vae"),
    "reproductions/product": ("recvae", "ease", "als", "product"),
    "reproductions/linear": ("ease", "edlae", "slim", "elsa", "als", "ials"),
    "reproductions/sampled": ("multdae", "multvae", "recvae", "multdae-sampled", "multvae-sampled", "recvae-sampled"),
    "reproductions/weights": tuple(
        f"weights-{name}" for name in ("popularity", "itemknn", "ease", "als", "multdae", "multvae")
    ),
    "reproductions/cold": (
        "popularity", "contentknn", "ease", "als", "multvae", "ease-features", "als-features", "multvae-features",
        "cold-ease", "cold-als", "cold-multvae",
    ),
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


@dataclass(frozen=True, eq=False)
class Dependencies:
    """What a result depends on.

    Args:
        files: file → names of its definitions.
        attributes: names of attributes that they use, and so of methods that they may call.
        idle: file → names of classes whose entries in its dictionaries are not used.
    """

    files: Mapping[Path, Set[str]]
    attributes: Set[str]
    idle: Mapping[Path, frozenset[str]]


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


def _module(name: str) -> Path | None:
    """The file of a module of foldin."""
    path = SOURCE.joinpath(*name.split("."))
    return next((one for one in (path.with_suffix(".py"), path / "__init__.py") if one.is_file()), None)


@functools.cache
def _models() -> dict[str, str]:
    """Class → name, of the registered models."""
    pairs = re.findall(r'"([\w-]+)": (\w+)', REGISTRY.read_text(encoding="utf-8"))
    return {kind: name for name, kind in pairs}


def _scripts(script: Path, pattern: str = r'"(\w+)\.py"') -> list[Path]:
    """A script, and those that it names: by default as files, to start them in processes of their own."""
    found, waiting = [], [script]
    while waiting:
        one = waiting.pop()
        if one in found or one.name in PLUMBING:
            continue
        found.append(one)
        named = sorted(set(re.findall(pattern, one.read_text(encoding="utf-8"), re.MULTILINE)))
        waiting += [path for folder in FOLDERS for name in named if (path := ROOT / folder / f"{name}.py").is_file()]
    return found


def _beside() -> dict[str, Path]:
    """Name → folder of the scripts, which import each other by name."""
    return {path.stem: path.parent for folder in FOLDERS for path in (ROOT / folder).glob("*.py")}


@functools.cache
def dependencies(script: Path) -> Dependencies:
    """The definitions that a script's result depends on."""
    scripts = _scripts(script)
    imported = {one for start in scripts for one in _scripts(start, r"^\s*(?:from|import) (\w+)")}
    texts = "\n".join(one.read_text(encoding="utf-8") for one in imported)
    spelled = set(re.findall(r'"([a-z][a-z-]*)(?: [^"]*)?"', texts))
    # The table of models names all of them; a script runs those that it spells out.
    idle = {REGISTRY: frozenset(kind for kind, name in _models().items() if name not in spelled)}
    started = [file for command, name in STARTED.items() if command in texts and (file := _module(name)) is not None]
    root, left_out = {**_beside(), "foldin": SOURCE}, [*SHOWN, *(ROOT / "benchmarks" / name for name in PLUMBING)]
    found, attributes = reached(scripts, started, root=root, idle=idle, left_out=left_out)
    return Dependencies(found, attributes, idle)


@functools.cache
def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


@functools.cache
def _blobs(commit: str) -> dict[str, str]:
    """The object of each file of a commit."""
    lines = (line.split(maxsplit=3) for line in _git("ls-tree", "-r", commit).stdout.splitlines())
    return {name: blob for _, _, blob, name in lines}


@functools.cache
def _then(blob: str, idle: frozenset[str]) -> Module:
    """The definitions of a file of an earlier commit."""
    return Module(_git("cat-file", "blob", blob).stdout, idle)


@functools.cache
def _now(path: Path, idle: frozenset[str]) -> Module:
    return Module(path.read_text(encoding="utf-8"), idle)


def changed_since(kept: Kept) -> dict[str, list[str]] | None:
    """File → the definitions in it that a result depends on and that have changed; None where git does not know the commit."""
    commit = kept.commit.rstrip("+")
    if _git("cat-file", "-e", f"{commit}^{{commit}}").returncode:
        return None
    used, blobs, found = dependencies(kept.script), _blobs(commit), {}
    for path, names in used.files.items():
        name, idle = str(path.relative_to(ROOT)), used.idle.get(path, frozenset())
        then = _then(blobs[name], idle) if name in blobs else Module("")
        if changed := differences(then, _now(path, idle), names, used.attributes):
            found[name] = changed
    return dict(sorted(found.items()))


def differences(then: Module, now: Module, names: Set[str], attributes: Set[str]) -> list[str]:
    """Those of a module's definitions whose code was another, and the methods that are gone and would be called."""
    changed = {one for one in names if one not in then.definitions or then.code(one) != now.code(one)}
    gone = {
        f"{kind}.{one}"
        for kind in names & set(now.classes)
        for one in set(then.methods(kind)) - set(now.methods(kind))
        if one in attributes or one.startswith("__")
    }
    return sorted(one or "statements of the module" for one in changed | gone)


def covered(kept: Kept) -> bool:
    """Whether the golden files show that the code of today has the losses and metrics of the code that was measured."""
    labels = [label for label in CASES if kept.name.startswith(label)]
    cases = CASES[max(labels, key=len)] if labels else ()
    if not cases:
        return False
    golden = json.loads((GOLDEN / "provenance.json").read_text(encoding="utf-8"))
    commit, later = kept.commit.rstrip("+"), golden.get("later", {})
    earlier = set(json.loads((GOLDEN / "earlier.json").read_text(encoding="utf-8")).get(commit, ()))
    return all(case in earlier or _is_ancestor(later.get(case, golden)["commit"], commit) for case in cases)


@functools.cache
def _is_ancestor(earlier: str, commit: str) -> bool:
    return _git("merge-base", "--is-ancestor", earlier, commit).returncode == 0


def state(kept: Kept) -> str:
    """How a result stands to the code of today, in words."""
    changed = changed_since(kept)
    if changed is None:
        return "its commit is not in this repository"
    if not changed:
        return AS_MEASURED
    many = f"{len(changed)} of {len(dependencies(kept.script).files)} files changed since"
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
    parser.add_argument("--changed", action="store_true", help="only results older than their code, with what changed")
    parser.add_argument("--page", type=Path, help="where the page of the documentation goes")
    options = parser.parse_args()
    lines = [(kept, state(kept)) for kept in kept_results()]
    for kept, how in lines:
        if options.changed and stands(how):
            continue
        print(f"{kept.name:58} {kept.commit:9} {kept.date[:10]}  {how}  [{kept.machine}]")
        if options.changed and (changed := changed_since(kept)):
            print("\n".join(f"    {name}: {', '.join(names)}" for name, names in changed.items()))
    if options.page is not None:
        options.page.write_text(page(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
