"""What single scripts measure: parts of a result that stay, users of a warm start, edges of grids, typing errors."""

import json
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from foldin import read_log
from foldin.data import catalog_of
from foldin.experiment import cut_log

ROOT = Path(__file__).parents[2]
FOLDERS = (ROOT / "benchmarks", ROOT / "reproductions")


@pytest.fixture
def script(monkeypatch):
    """Imports a script as a module; threads and the modules beside it are as before afterwards."""
    threads, before = torch.get_num_threads(), set(sys.modules)
    for folder in FOLDERS:
        monkeypatch.syspath_prepend(str(folder))
    yield import_module
    torch.set_num_threads(threads)
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").parent in FOLDERS:
            del sys.modules[name]


def test_other_parts_of_a_result_stay(script, tmp_path, capsys):
    keep, kept = script("common").keep_part, tmp_path / "result.json"
    keep(kept, "one", "a", settings={"seeds": 1}, figures={"x": 1}, ratios={"x": 2.0})
    first = json.loads(kept.read_text(encoding="utf-8"))
    keep(kept, "one", "b", settings={"seeds": 3}, figures={"x": 5}, ratios={"x": 6.0})
    keep(kept, "one", "b", settings={"seeds": 4}, figures={"x": 7}, ratios={"x": 8.0})
    both = json.loads(kept.read_text(encoding="utf-8"))
    assert both["figures"] == {"a": {"x": 1}, "b": {"x": 7}}
    assert both["ratios"] == {"a": {"x": 2.0}, "b": {"x": 8.0}}
    assert both["reports"]["a"] == first["reports"]["a"]
    assert both["reports"]["b"]["settings"] == {"seeds": 4}
    assert both["settings"] == {"parts": ["a", "b"]}
    assert {"commit", "date", "threads"} <= both["reports"]["a"].keys()


def test_users_of_a_warm_start(script):
    """Known users are folded in from all their earlier events, new ones from the first half of their late ones."""
    rows = [("old", "a", 1), ("old", "b", 2), ("old", "c", 11), ("old", "b", 12), ("gone", "c", 3), ("other", "d", 4)]
    rows += [("new", item, 10 + at) for at, item in enumerate("abcde")]  # e is in no earlier event
    rows += [("once", "a", 13)]
    rows = [(user, item, 10**9 + 86_400 * day) for user, item, day in rows]
    log = read_log(pl.DataFrame(rows, schema=["user", "item", "time"], orient="row"), repeats="keep")
    cut = 10**9 + 86_400 * 10
    earlier = cut_log(log, cut).before
    catalog = catalog_of(earlier.items, earlier.histories)
    held, newcomers = script("warm_start").held_out(log, cut, catalog)
    ids = lambda histories, user: [catalog.ids[item] for item in histories.of(user)]
    found = {user: (ids(held.fold_in, at), ids(held.targets, at)) for at, user in enumerate(held.users)}
    assert found == {"old": (["a", "b"], ["c"]), "new": (["a", "b"], ["c", "d"])}
    assert newcomers == 1


def test_the_next_value_of_a_grid(script):
    beyond = script("weights").beyond
    assert beyond([1.0, 10.0, 100.0], 100.0) == 1000.0
    assert beyond([1.0, 10.0, 100.0], 1.0) == 0.1
    assert beyond([1.0, 10.0, 100.0], 10.0) is None
    assert beyond([0.0, 1.0, 10.0], 0.0) is None  # there is nothing below
    assert beyond([0.0, 2.0], 2.0) == 20.0
    assert beyond([5.0], 5.0) is None  # no grid


@pytest.mark.parametrize(("peak", "edge"), [(3.0, []), (0.0, []), (9.0, ["regularization"])])
def test_a_grid_is_extended_while_its_edge_is_best(script, monkeypatch, peak, edge):
    """The best setting is found up to four values beyond the grid, and an edge further off is named."""
    weights = script("weights")

    def search(split, name, grid, metric):
        trials = [{"settings": one, "validation": -abs(np.log10(one["regularization"]) - peak)} for one in grid]
        return max(trials, key=lambda one: one["validation"])["settings"], trials

    monkeypatch.setattr(weights, "search", search)
    settings, trials, at_edge = weights.chosen(
        None, "als", weights.grid_of(fixed={"a": 1}, regularization=(10.0, 100.0))
    )
    assert settings["regularization"] == pytest.approx(10.0 ** min(peak, 6.0))
    assert settings["a"] == 1
    assert at_edge == edge
    tried = [trial["settings"]["regularization"] for trial in trials]
    assert len(tried) == len(set(tried))


def test_one_typing_error_each(script):
    from rapidfuzz.distance import OSA

    misspelled, rng = script("search_titles").misspelled, np.random.default_rng(0)
    for word in ("shawshank", "amelie", "two") * 10:
        found = misspelled(word, rng)
        assert {kind: len(one) - len(word) for kind, one in found.items()} == {
            "exchanged_letters": 0,
            "missing_letter": -1,
            "doubled_letter": 1,
            "wrong_letter": 0,
        }
        assert all(OSA.distance(word, one) == (0 if one == word else 1) for one in found.values())
        assert found["wrong_letter"] != word
