"""Prove that the checks of the book can fail: change a sign, a factor or an index on one side of an equation, and see.

python docs/book/mutants.py                        every mutant of every chapter: minutes
python docs/book/mutants.py --chapters em,aevb     only these chapters; the others keep their place in the report
python docs/book/mutants.py --sample 200           a random sample of each kind, the same for the same --seed

Two kinds of code are changed, one place at a time. *Sides*: what the checks of a chapter and their helpers compute; data,
seeds, numbers of draws and tolerances are left alone. *Implementation*: the functions and methods of the library that an
equation of the chapter names as its code, on the lines that the checks run. A mutant is killed if a check that uses the changed
function goes red, warns (a warning fails the tests) or takes twenty times the processor time. Each runs in a process of its own.

The report, `docs/book/mutants.json`, has the share that is killed and every survivor. Mutants that compute the same numbers as
the original, or that no equation speaks of, are listed with the reason in `docs/book/equivalent_mutants.toml`. They are not
tried; the report says how many they are, and `killed_of_all` counts them as survivors.
"""

import argparse
import ast
import copy
import functools
import inspect
import json
import os
import pkgutil
import random
import runpy
import signal
import sys
import textwrap
import time
import tomllib
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any

from mutation_sites import changed, sites

from foldin.book import chapters

BOOK = Path(__file__).parent


@dataclass(frozen=True)
class Mutant:
    """One change of one place of a function.

    Args:
        kind: "side" or "implementation".
        chapter: whose checks are to notice.
        function: its name, dotted for a method.
        place: the number of the site in the function, in the order of the walk.
        text: the changed expression before and after; the second that reads alike ends with (2), and so on.
        checks: the names of the checks that use the function.
    """

    kind: str
    chapter: str
    function: str
    place: int
    text: str
    checks: tuple[str, ...]

    @property
    def key(self) -> str:
        """What `equivalent_mutants.toml` calls it; it has no line number, which every edit above it would change."""
        return f"{self.chapter}: {self.function}: {self.text}"


@functools.cache
def _module(chapter: str) -> ast.Module:
    return ast.parse((BOOK / "checks" / f"{chapter.replace('-', '_')}.py").read_text(encoding="utf-8"))


def _functions(chapter: str) -> dict[str, ast.FunctionDef]:
    return {node.name: node for node in _module(chapter).body if isinstance(node, ast.FunctionDef)}


def _users(chapter: str) -> dict[str, tuple[str, ...]]:
    """Function → the checks that reach it by the names in their bodies, and in those of what they call."""
    functions = _functions(chapter)
    named = {
        name: {one.id for one in ast.walk(node) if isinstance(one, ast.Name)} & set(functions)
        for name, node in functions.items()
    }
    # What a module computes once, a check reads through a constant.
    made: dict[str, set[str]] = {}
    for node in _module(chapter).body:
        if isinstance(node, ast.Assign):
            used = {one.id for one in ast.walk(node.value) if isinstance(one, ast.Name)} & set(functions)
            for target in node.targets:
                made |= {one.id: used for one in ast.walk(target) if isinstance(one, ast.Name)}
    for name, node in functions.items():
        for one in ast.walk(node):
            if isinstance(one, ast.Name):
                named[name] |= made.get(one.id, set())
    found: dict[str, set[str]] = {name: set() for name in functions}
    for check in (name for name in functions if name.startswith("check_")):
        seen, waiting = set(), [check]
        while waiting:
            one = waiting.pop()
            if one not in seen:
                seen.add(one)
                waiting += named[one]
        for one in seen:
            found[one].add(check)
    return {name: tuple(sorted(checks)) for name, checks in found.items()}


def _path(chapter: str) -> str:
    return str(BOOK / "checks" / f"{chapter.replace('-', '_')}.py")


def _implementing(chapter: str) -> dict[str, FunctionType]:
    """Dotted name → function, of the functions and methods that the equations of a chapter name as their code."""
    found: dict[str, FunctionType] = {}
    for one in chapters()[chapter].equations:
        for dotted in one.code:
            value: Any = pkgutil.resolve_name(dotted)
            value = getattr(value, "fget", None) or getattr(value, "func", value)  # of properties, cached or not
            value = inspect.unwrap(getattr(value, "__func__", value))
            if isinstance(value, FunctionType):
                found[dotted] = value
    return found


def _lines_run(check: Callable[[], None], codes: set[CodeType]) -> dict[CodeType, set[int]]:
    """The lines of each code that a check runs."""
    found: dict[CodeType, set[int]] = {}

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code not in codes:
            return None
        found.setdefault(frame.f_code, set()).add(frame.f_lineno)
        return trace

    sys.settrace(trace)
    try:
        check()
    finally:
        sys.settrace(None)
    return found


def implementation_mutants(chapter: str) -> Iterator[Mutant]:
    """Mutants of the code that the equations of a chapter name, on lines that its checks run."""
    functions = _implementing(chapter)
    known = {function.__code__: dotted for dotted, function in functions.items()}
    namespace = runpy.run_path(_path(chapter))
    lines: dict[CodeType, set[int]] = {}
    callers: dict[CodeType, list[str]] = {}
    for name, check in namespace.items():
        if name.startswith("check_"):
            for value in namespace.values():  # so that what is computed once is computed in this check
                if hasattr(value, "cache_clear"):
                    value.cache_clear()
            for code, run in _lines_run(check, set(known)).items():
                lines.setdefault(code, set()).update(run)
                callers.setdefault(code, []).append(name)
    for code, checks in callers.items():
        tree = _tree_of(functions[known[code]])
        if tree is None or functions[known[code]].__closure__:
            continue
        texts = _texts(tree)
        for place, (node, _) in enumerate(sites(tree)):
            first = code.co_firstlineno + node.lineno - 1
            last = code.co_firstlineno + (node.end_lineno or node.lineno) - 1
            if lines[code] & set(range(first, last + 1)):
                yield Mutant("implementation", chapter, known[code], place, texts[place], tuple(sorted(checks)))


def _texts(tree: ast.FunctionDef) -> list[str]:
    """What each change of a function is in words; those that read alike are numbered from the second."""
    found, seen = [], Counter[str]()
    for place, _ in enumerate(sites(tree)):
        text = changed(tree, place)[1]
        seen[text] += 1
        found.append(text if seen[text] == 1 else f"{text} ({seen[text]})")
    return found


def _tree_of(function: FunctionType) -> ast.FunctionDef | None:
    try:
        node = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    except (OSError, SyntaxError):
        return None
    return node if isinstance(node, ast.FunctionDef) else None


def side_mutants(chapter: str) -> Iterator[Mutant]:
    """Mutants of the checks of a chapter and of their helpers."""
    users = _users(chapter)
    for name, node in _functions(chapter).items():
        for place, text in enumerate(_texts(node)):
            if users[name]:
                yield Mutant("side", chapter, name, place, text, users[name])


def changes(chapter: str, function: str) -> set[str]:
    """Every change that a mutant of a function could make, in words, whether a check runs its line or not."""
    tree = _tree_of(_implementing(chapter)[function]) if "." in function else _functions(chapter)[function]
    return set(_texts(tree)) if tree is not None else set()


def _with_side(mutant: Mutant) -> dict[str, Any]:
    """The module of a chapter's checks with the change."""
    tree = copy.deepcopy(_module(mutant.chapter))
    for at, node in enumerate(tree.body):
        if isinstance(node, ast.FunctionDef) and node.name == mutant.function:
            tree.body[at] = changed(node, mutant.place)[0]
    namespace: dict[str, Any] = {"__name__": "mutant", "__file__": _path(mutant.chapter)}
    exec(compile(ast.fix_missing_locations(tree), _path(mutant.chapter), "exec"), namespace)
    return namespace


def _with_implementation(mutant: Mutant) -> dict[str, Any]:
    """The module of a chapter's checks, with the change in the library."""
    namespace = runpy.run_path(_path(mutant.chapter))
    function = _implementing(mutant.chapter)[mutant.function]
    tree = _tree_of(function)
    assert tree is not None
    made = changed(tree, mutant.place)[0]
    made.decorator_list = []
    scope: dict[str, Any] = {}
    body = ast.fix_missing_locations(ast.Module([made], []))
    exec(compile(body, inspect.getfile(function), "exec"), function.__globals__, scope)
    function.__code__ = scope[made.name].__code__
    # What was computed before the change is computed again.
    for value in namespace.values():
        if hasattr(value, "cache_clear"):
            value.cache_clear()
    return namespace


def survives(mutant: Mutant, seconds: Mapping[str, float]) -> bool:
    """Whether all checks pass with the change, in a process of its own, within twenty times the processor time that they took."""
    limit = 5 + 20 * sum(seconds[name] for name in mutant.checks)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(1, 2)
            signal.setitimer(signal.ITIMER_PROF, limit)  # of this process alone: a busy machine kills no mutant
            warnings.simplefilter("error")
            namespace = (_with_side if mutant.kind == "side" else _with_implementation)(mutant)
            for name in sorted(mutant.checks, key=lambda one: seconds[one]):
                namespace[name]()
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1] == 0


def timed(chapter: str) -> dict[str, float]:
    """Seconds of processor time of each check of a chapter, unchanged."""
    namespace = runpy.run_path(_path(chapter))
    found = {}
    for name in _functions(chapter):
        if name.startswith("check_"):
            start = time.process_time()
            namespace[name]()
            found[name] = time.process_time() - start
    return found


def listed() -> dict[str, dict[str, str]]:
    """The tables of `equivalent_mutants.toml`, each with the reason by the key of a mutant."""
    return tomllib.loads((BOOK / "equivalent_mutants.toml").read_text(encoding="utf-8"))


def reported(chapter: str, kind: str, sample: int | None, seed: int, seconds: Mapping[str, float]) -> dict[str, Any]:
    """A row of the report: the mutants of a kind that were tried, the share that was killed, those listed, and survivors."""
    every = list((side_mutants if kind == "side" else implementation_mutants)(chapter))
    left_out = {name: sum(one.key in table for one in every) for name, table in listed().items()}
    mutants = [one for one in every if not any(one.key in table for table in listed().values())]
    if sample is not None and len(mutants) > sample:
        mutants = random.Random(seed).sample(mutants, sample)
    alive = sorted(one.key for one in mutants if survives(one, seconds))
    share = 1.0 - len(alive) / max(1, len(mutants))
    return {"mutants": len(mutants), "killed": round(share, 4), "listed": left_out, "survivors": alive}


def totals(report: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """All chapters together."""
    rows = [row for name, row in report.items() if name.endswith(f", {kind}") and not name.startswith("all,")]
    total, alive = sum(row["mutants"] for row in rows), sum(len(row["survivors"]) for row in rows)
    names = list(listed())
    left_out = {name: sum(row["listed"].get(name, 0) for row in rows) for name in names}
    more = sum(left_out.values())
    return {
        "mutants": total,
        "killed": round(1.0 - alive / max(1, total), 4),
        "listed": left_out,
        "killed_of_all": round(1.0 - (alive + more) / max(1, total + more), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chapters", help="Names of chapters, separated by commas; all by default.")
    parser.add_argument("--kinds", default="side,implementation", help="Kinds of code that are changed.")
    parser.add_argument("--sample", type=int, help="Number of mutants of each kind and chapter; all by default.")
    parser.add_argument("--seed", type=int, default=0, help="Seed of the sample.")
    parser.add_argument(
        "--json", type=Path, default=BOOK / "mutants.json", help="The report, which is written or updated."
    )
    options = parser.parse_args()
    import torch  # so that each child has it already

    torch.set_num_threads(1)

    report: dict[str, Any] = json.loads(options.json.read_text(encoding="utf-8")) if options.json.exists() else {}
    for chapter in options.chapters.split(",") if options.chapters else chapters():
        seconds = timed(chapter)
        for kind in options.kinds.split(","):
            row = report[f"{chapter}, {kind}"] = reported(chapter, kind, options.sample, options.seed, seconds)
            print(f"{chapter:22} {kind:15} {row['mutants']:5} mutants, {row['killed']:.1%} killed", flush=True)
    order = [f"{chapter}, {kind}" for chapter in chapters() for kind in ("side", "implementation")]
    report = {name: report[name] for name in order if name in report}
    for kind in ("side", "implementation"):
        row = report[f"all, {kind}"] = totals(report, kind)
        print(f"{'all':22} {kind:15} {row['mutants']:5} mutants, {row['killed']:.1%} killed")
    options.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
