"""What `make results` says: which code a kept figure depends on, and whether that has changed."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def kept(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import kept

    yield kept
    del sys.modules["kept"]


def names(kept, script):
    return {str(path.relative_to(ROOT)) for path in kept.dependencies(ROOT / script)}


def test_a_figure_depends_on_the_code_that_its_script_runs_and_on_no_other(kept):
    found = names(kept, "benchmarks/gaussian_mixture.py")
    assert {"benchmarks/sklearn_mixture.py", "src/foldin/inference/gaussian_mixture.py"} <= found
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


def test_comments_docstrings_and_messages_are_no_change(kept):
    one = 'def f(x):\n    """Twice x."""\n    return 2 * x  # twice\n'
    assert kept._code(one) == kept._code("def f(x):\n    return (2\n        * x)\n")
    assert kept._code(one) != kept._code("def f(x):\n    return 3 * x\n")
    error = "def f(x):\n    raise ValueError({!r})\n"
    assert kept._code(error.format("bad x")) == kept._code(error.format("x is bad"))
    assert kept._code("a: int = setting(3, 'Three.', low=1)") == kept._code("a: int = setting(3, 'Of three.', low=1)")
    assert kept._code("a: int = setting(3, 'Three.', low=1)") != kept._code("a: int = setting(4, 'Three.', low=1)")
    ranged = "from t import Range, setting\na: int = setting(3, 'Three.', low=1, range=Range(1, 9))"
    assert kept._code(ranged) == kept._code("from t import setting\na: int = setting(3, 'Three.', low=1)")


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

    def write(commit, earlier):
        (tmp_path / "provenance.json").write_text(json.dumps({"commit": commit}))
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
    assert not kept.covered(result(kept, "reproductions/diffrec (diffrec-ml-1m-clean, bound)", "HEAD"))


def test_an_earlier_one_when_all_of_its_cases_are_the_same(kept, golden):
    cases = list(kept.CASES["reproductions/factors"])
    golden("HEAD", {"0000000": cases, "1111111": cases[1:]})
    assert kept.covered(result(kept, "reproductions/factors (a log)", "0000000"))
    assert not kept.covered(result(kept, "reproductions/factors (a log)", "1111111"))


def test_every_case_that_is_named_is_a_golden_one(kept):
    from tests.golden import generative, record

    assert {case for cases in kept.CASES.values() for case in cases} <= {*record.CASES, *generative.CASES}
