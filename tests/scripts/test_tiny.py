"""Every benchmark and reproduction runs on today's code, on made-up data, and says what its result is made of."""

import json
import re
import runpy
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
SCRIPTS = [
    path
    for folder in ("benchmarks", "reproductions")
    for path in sorted((ROOT / folder).glob("*.py"))
    if re.search(r"^    options = arguments\(", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
]
# Of the others a change of what all share shows in these; `make test-slow` runs every script.
OFTEN = ("recommend_all", "mixture", "ddpm", "multvae", "search_titles", "semantic")


@pytest.fixture
def as_script(monkeypatch):
    """Runs a script with arguments in this process; threads and the modules beside it are as before afterwards."""
    threads, before = torch.get_num_threads(), set(sys.modules)

    def run(path: Path, *arguments: object) -> None:
        monkeypatch.setattr(sys, "argv", [str(path), *map(str, arguments)])
        monkeypatch.syspath_prepend(str(path.parent))
        runpy.run_path(str(path), run_name="__main__")

    yield run
    torch.set_num_threads(threads)
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").parent in (
            ROOT / "benchmarks",
            ROOT / "reproductions",
        ):
            del sys.modules[name]


def test_there_are_as_many_as_kept_results():
    kept = {
        path.stem for folder in ("benchmarks", "reproductions") for path in (ROOT / folder / "results").glob("*.json")
    }
    assert kept <= {path.stem for path in SCRIPTS}


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=() if path.stem in OFTEN else pytest.mark.long) for path in SCRIPTS],
    ids=lambda path: f"{path.parent.name}/{path.stem}",
)
def test_it_runs(path, as_script, tmp_path, capsys):
    as_script(path, "--tiny", "--json", tmp_path / "result.json")
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert result["name"] == path.stem
    assert {"commit", "date", "machine", "versions", "threads", "settings"} <= result.keys()
    assert result["figures"]
    assert path.stem in capsys.readouterr().out


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_it_uses_public_names_only(path):
    text = path.read_text(encoding="utf-8")
    assert not re.findall(r"\b(?!self\b)\w+\._[a-z]\w*", text)
    assert not re.findall(r"from foldin[\w.]* import [^\n]*\b_\w+", text)
