"""What `make results` says: which code a kept figure depends on, and whether that has changed."""

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


def test_comments_and_docstrings_are_no_change(kept):
    one = 'def f(x):\n    """Twice x."""\n    return 2 * x  # twice\n'
    assert kept._code(one) == kept._code("def f(x):\n    return (2\n        * x)\n")
    assert kept._code(one) != kept._code("def f(x):\n    return 3 * x\n")


def test_every_kept_result_has_a_line(kept, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["kept.py"])
    kept.main()
    lines = capsys.readouterr().out.splitlines()
    results = {f"{path.parent.parent.name}/{path.stem}" for path in ROOT.glob("*/results/*.json")}
    assert {line.split()[0] for line in lines} == results
    assert all("as measured" in line or "changed since" in line or "not in this repository" in line for line in lines)
