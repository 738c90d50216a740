"""Mutants of the book's equations: what is changed, what is listed as no fault, and a run of some of them."""

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

BOOK = Path(__file__).parents[2] / "docs" / "book"


@pytest.fixture
def mutants(monkeypatch):
    monkeypatch.syspath_prepend(str(BOOK))
    return importlib.import_module("mutants")


def changes(mutants, source):
    """The changes of a function with this body."""
    (node,) = ast.parse(f"def check():\n    {source}").body
    return [mutants.changed(node, place)[1] for place, _ in enumerate(mutants.sites(node))]


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        (
            "assert abs(q @ x - 3.0 * y) < 1e-9",
            ["q @ x - 3.0 * y  →  q @ x + 3.0 * y", "3.0 * y  →  3.0 / y", "3.0 * y  →  6.0 * y"],
        ),
        ("x = GRID[10:90:5]", []),
        ("x = GRID[10:90]", ["GRID[10:90]  →  GRID[11:90]", "GRID[10:90]  →  GRID[10:91]"]),
        (
            "more = change.sum(axis=1) > tolerance * own.sum(axis=1)",
            ["change.sum(axis=1)  →  change.mean(axis=1)", "axis=1  →  axis=0"],
        ),
        (
            "x = rng.normal(2.0 * mean, -sd, size=n - 1)",
            ["2.0 * mean  →  2.0 / mean", "2.0 * mean  →  4.0 * mean", "-sd  →  +sd"],
        ),
        ("x = rng.integers(0, n - 1) + y", ["rng.integers(0, n - 1) + y  →  rng.integers(0, n - 1) - y"]),
    ],
)
def test_signs_factors_and_indices_are_changed_and_data_are_not(mutants, source, wanted):
    assert sorted(changes(mutants, source)) == sorted(wanted)


def test_what_is_listed_is_there_and_has_a_reason(mutants):
    tables = mutants.listed()
    assert set(tables) == {"same_numbers", "no_equation"}
    keys = [key for table in tables.values() for key in table]
    assert len(keys) == len(set(keys))
    for table in tables.values():
        for key, reason in table.items():
            chapter, function, change = key.split(": ", 2)
            assert change in mutants.changes(chapter, function), key
            assert len(reason.split()) > 3, key


def test_the_report_counts_what_it_lists(mutants):
    report = json.loads((BOOK / "mutants.json").read_text(encoding="utf-8"))
    chapters = [name for name in report if not name.startswith("all,")]
    assert chapters == [f"{chapter}, {kind}" for chapter in mutants.chapters() for kind in ("side", "implementation")]
    for kind in ("side", "implementation"):
        assert report[f"all, {kind}"] == mutants.totals(report, kind)
        assert report[f"all, {kind}"]["killed"] >= 0.95


def test_a_changed_bound_is_killed(mutants):
    seconds = {"check_own_share": 0.1}
    found = [one for one in mutants.side_mutants("kl-decomposition") if one.function == "check_own_share"]
    assert len(found) == 2
    assert not any(mutants.survives(one, seconds) for one in found)


@pytest.mark.long
def test_some_mutants_of_a_chapter(tmp_path):
    command = [sys.executable, str(BOOK / "mutants.py"), "--chapters", "kl-decomposition", "--kinds", "implementation"]
    subprocess.run([*command, "--sample", "3", "--json", str(tmp_path / "found.json")], check=True, capture_output=True)
    report = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert report["kl-decomposition, implementation"]["mutants"] == report["all, implementation"]["mutants"] == 3
    assert report["all, implementation"]["killed"] > 0.6
