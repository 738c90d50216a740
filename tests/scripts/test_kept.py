"""What `make results` says: which code a kept figure depends on, and whether that has changed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def kept(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import kept

    yield kept
    for name in ("kept", "reached", "definitions"):
        del sys.modules[name]


def names(kept, script):
    return {str(path.relative_to(ROOT)) for path in kept.dependencies(ROOT / script).files}


def test_a_figure_depends_on_the_code_that_its_script_runs_and_on_no_other(kept):
    found = names(kept, "benchmarks/gaussian_mixture.py")
    assert {"benchmarks/sklearn_mixture.py", "src/foldin/inference/gaussian_mixture.py"} <= found
    assert "src/foldin/errors.py" in found
    assert (
        "EventStoreError"
        not in kept.dependencies(ROOT / "benchmarks/gaussian_mixture.py").files[ROOT / "src/foldin/errors.py"]
    )
    assert not {name for name in found if name.startswith(("src/foldin/models", "src/foldin/serve"))}


def test_of_the_models_it_depends_on_those_that_the_script_names(kept):
    found = names(kept, "reproductions/factors.py")
    topics = {f"src/foldin/models/topics/{name}.py" for name in ("lda", "poisson", "plsa", "mixture")}
    assert topics | {"src/foldin/models/linear/ease.py"} <= found
    others = ("sequential/sasrec", "autoencoders/recvae", "diffusion/diffrec")
    assert not {f"src/foldin/models/{name}.py" for name in others} & found


def test_a_service_that_a_script_starts_is_part_of_what_it_measures(kept):
    found = names(kept, "benchmarks/serve_load.py")
    assert {"src/foldin/serve/engine/service.py", "src/foldin/serve/api/recommendations.py"} <= found


def test_what_only_shows_results_is_no_part_of_them(kept):
    found = names(kept, "benchmarks/serve_load.py")
    assert not {name for name in found if name.startswith(("src/foldin/serve/studio", "src/foldin/formulas"))}
    assert (ROOT / "src/foldin/serve/studio/routes.py").is_file()
    assert "src/foldin/reports/page.py" not in names(kept, "reproductions/explain.py")


def changes(kept, then, now, names, attributes=()):
    """Names whose definitions differ between two texts of a module."""
    return kept.differences(kept.Module(then), kept.Module(now), set(names), set(attributes))


def test_comments_docstrings_and_messages_are_no_change(kept):
    one = 'def f(x):\n    """Twice x."""\n    return 2 * x  # twice\n'
    assert not changes(kept, one, "def f(x):\n    return (2\n        * x)\n", ["f"])
    assert changes(kept, one, "def f(x):\n    return 3 * x\n", ["f"]) == ["f"]
    error = "def f(x):\n    raise ValueError({!r})\n"
    assert not changes(kept, error.format("bad x"), error.format("x is bad"), ["f"])
    setting = "a: int = setting({}, {!r}, low=1{})"
    assert not changes(kept, setting.format(3, "Three.", ""), setting.format(3, "Of three.", ""), ["a"])
    assert not changes(kept, setting.format(3, "Three.", ", range=Range(1, 9)"), setting.format(3, "Three.", ""), ["a"])
    assert changes(kept, setting.format(3, "Three.", ""), setting.format(4, "Three.", ""), ["a"]) == ["a"]


def test_what_is_added_beside_a_definition_is_no_change_of_it(kept):
    then = "def f(x):\n    return x\n"
    assert not changes(kept, then, "import os\n__all__ = ['f', 'g']\n" + then + "def g():\n    return 1\n", ["", "f"])
    assert changes(kept, then, "print(1)\n" + then, ["", "f"]) == ["statements of the module"]


def test_a_method_that_is_gone_is_a_change_where_it_would_be_called(kept):
    then = "class A(B):\n    def f(self):\n        return 1\n\n    x: int = 1\n"
    now = "class A(B):\n    x: int = 1\n"
    assert changes(kept, then, now, ["A"], ["f"]) == ["A.f"]
    assert not changes(kept, then, now, ["A"], ["g"])
    assert changes(kept, now, then, ["A", "A.f"], ["f"]) == ["A.f"]


PACKAGE = {
    "__init__": "from shop.models import Model as Model\nfrom shop.fit import fit\n",
    "models": """
from shop.errors import ShopError

class Base:
    def trainer(self):
        return Trainer(self)

    def never(self):
        return unused()

class Config:
    width: int = 3

class Model(Base[Config]):
    def logits(self, rows: "Rows"):
        return helper(rows)

def helper(rows):
    if rows is None:
        raise ShopError("none")
    return rows

def unused():
    return 1

class Trainer:
    def __init__(self, model):
        self.model = model
""",
    "fit": "def fit(model):\n    model.trainer()\n    from shop import late\n    return late.run(model)\n",
    "late": "def run(model):\n    return getattr(model, 'logits')(None)\n\ndef other():\n    return 2\n",
    "errors": "class ShopError(Exception):\n    pass\n\nclass Other(ShopError):\n    pass\n",
}


def test_definitions_are_followed_by_name(kept, tmp_path):
    from reached import reached

    (tmp_path / "shop").mkdir()
    for name, text in PACKAGE.items():
        (tmp_path / "shop" / f"{name}.py").write_text(text)
    script = tmp_path / "script.py"
    script.write_text("import shop\nfrom shop.models import Config\n\ndef main():\n    shop.fit(Config())\n")
    found, _ = reached([script], root={"shop": tmp_path})
    by_name = {path.stem: names - {""} for path, names in found.items()}
    assert by_name == {
        "script": {"main"},
        "__init__": set(),
        "models": {"Base", "Base.trainer", "Config", "Model", "Model.logits", "helper", "Trainer", "Trainer.__init__"},
        "fit": {"fit"},
        "late": {"run"},
        "errors": {"ShopError"},
    }


def test_what_is_left_out_or_idle_is_not_entered(kept, tmp_path):
    from reached import reached

    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").write_text("")
    (tmp_path / "shop" / "pages.py").write_text("def page():\n    return 1\n")
    (tmp_path / "shop" / "table.py").write_text(
        "from shop.one import One\nfrom shop.two import Two\nTABLE = {'one': One, 'two': Two}\n"
    )
    for name in ("one", "two"):
        (tmp_path / "shop" / f"{name}.py").write_text(f"class {name.title()}:\n    pass\n")
    script = tmp_path / "script.py"
    script.write_text("from shop.pages import page\nfrom shop.table import TABLE\nprint(TABLE, page)\n")
    idle = {tmp_path / "shop" / "table.py": frozenset({"Two"})}
    found, _ = reached([script], root={"shop": tmp_path}, idle=idle, left_out=[tmp_path / "shop" / "pages.py"])
    assert {path.stem for path in found} == {"script", "table", "one"}


WATCH = """
import atexit, os, sys, threading
seen = set()
def importing(frame):
    while frame is not None:
        if frame.f_code.co_name == "<module>" and "/src/foldin/" in frame.f_code.co_filename:
            return True
        frame = frame.f_back
    return False
def watch(frame, event, _):
    one = (frame.f_code.co_filename, frame.f_code.co_qualname)
    if event == "call" and "/src/foldin/" in one[0] and one not in seen and not importing(frame):
        seen.add(one)
sys.setprofile(watch)
threading.setprofile(watch)
@atexit.register
def keep():
    sys.setprofile(None)
    with open(os.environ["WATCHED"], "a") as file:
        file.writelines(f"{path}\\t{name}\\n" for path, name in seen)
"""


@pytest.mark.long  # a script runs, with every call watched
@pytest.mark.parametrize("script", ["benchmarks/lda.py", "benchmarks/multvae_epoch.py", "reproductions/aevb.py"])
def test_what_a_script_runs_is_among_what_it_reaches(kept, script, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(WATCH)
    paths = [str(tmp_path), str(ROOT / "src"), str(ROOT)]
    watched = {"PYTHONPATH": os.pathsep.join(paths), "WATCHED": str(tmp_path / "calls")}
    command = [sys.executable, str(ROOT / script), "--tiny"]
    subprocess.run(command, env={**os.environ, **watched}, check=True, capture_output=True)
    reached = kept.dependencies(ROOT / script).files
    missed, ran = set(), 0
    for line in (tmp_path / "calls").read_text().splitlines():
        path, _, name = line.partition("\t")
        parts = name.partition(".<locals>")[0].split(".")
        definition, shown = ".".join(parts[:2]), any(Path(path).is_relative_to(one) for one in kept.SHOWN)
        if not shown and definition in kept.Module(Path(path).read_text()).definitions:
            ran += 1
            if definition not in reached.get(Path(path), ()) and parts[0] != "versions":  # of common.py
                missed.add((path, name))
    assert ran > 50
    assert not missed


@pytest.mark.long  # every file of every commit is read
def test_every_kept_result_has_a_line(kept, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["kept.py"])
    kept.main()
    lines = capsys.readouterr().out.splitlines()
    results = {f"{path.parent.parent.name}/{path.stem}" for path in ROOT.glob("*/results/*.json")}
    assert {line.split()[0] for line in lines} == results
    assert all("as measured" in line or "changed since" in line or "not in this repository" in line for line in lines)


@pytest.fixture
def golden(kept, monkeypatch, tmp_path):
    """Golden files of this repository's first commit, and a list of what earlier code gives."""

    def write(commit, earlier, later=()):
        (tmp_path / "provenance.json").write_text(json.dumps({"commit": commit, "later": dict(later)}))
        (tmp_path / "earlier.json").write_text(json.dumps(earlier))
        monkeypatch.setattr(kept, "GOLDEN", tmp_path)

    return write


def result(kept, name, commit):
    return kept.Kept(name, ROOT / "reproductions" / "factors.py", commit, "2026-01-01", "")


def test_a_figure_is_covered_from_the_golden_commit_on(kept, golden):
    golden("HEAD", {})
    assert kept.covered(result(kept, "reproductions/factors (a log)", "HEAD"))
    assert kept.covered(result(kept, "reproductions/factors (a log)", "HEAD+"))
    assert not kept.covered(result(kept, "reproductions/factors (a log)", "0000000"))
    assert not kept.covered(result(kept, "benchmarks/lda", "HEAD"))


def test_a_case_of_later_has_a_commit_of_its_own(kept, golden):
    later = {case: {"commit": "HEAD"} for case in kept.CASES["reproductions/explain"]}
    golden("0000000", {}, later)
    assert kept.covered(result(kept, "reproductions/explain", "HEAD"))
    golden("HEAD", {}, {"bounds-multvae": {"commit": "0000000"}})
    assert not kept.covered(result(kept, "reproductions/explain", "HEAD"))


def test_an_earlier_one_when_all_of_its_cases_are_the_same(kept, golden):
    cases = list(kept.CASES["reproductions/factors"])
    golden("HEAD", {"0000000": cases, "1111111": cases[1:]})
    assert kept.covered(result(kept, "reproductions/factors (a log)", "0000000"))
    assert not kept.covered(result(kept, "reproductions/factors (a log)", "1111111"))


def test_every_case_that_is_named_is_a_golden_one(kept):
    from tests.golden import generative, later, record

    named = {case for cases in kept.CASES.values() for case in cases}
    assert named <= {*record.CASES, *generative.CASES, *later.CASES}
