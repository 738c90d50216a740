"""The example of a model of another package: installed, and taken from its contract to an export and a service."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from foldin.errors import RunError
from foldin.runs import load_run
from tests.conftest import make_log

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_model"
# In one process, since each takes seconds to begin.
JOURNEY = """
import json, sys
from pathlib import Path
from click.testing import CliRunner
from fastapi.testclient import TestClient
from foldin.cli.app import cli as commands
from foldin.cli.serve import server_module
from foldin.serve import Limits

log, run, graph, events = sys.argv[1:]

def foldin(*arguments):
    done = CliRunner().invoke(commands, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout

told = json.loads(foldin("fit", log, "--model", "markov", "--out", run, "--held-out", "20", "--set", "smoothing=2", "--json"))
assert told["models"]["markov"]["config"] == {"smoothing": 2.0}
assert "smoothing" in foldin("models", "markov")
assert "ndcg@10" in foldin("evaluate", run, "--json")
listed = json.loads(foldin("recommend", run, "--history", "i03,i01", "-k", "4", "--json"))["items"]
assert len(listed) == 4
foldin("export", run, "--out", graph)
served, _, _ = server_module().build(
    [Path(run)], f"sqlite:///{events}", open_to_all=True, host="127.0.0.1", limits=Limits(), device="cpu"
)
with TestClient(served, base_url="http://127.0.0.1") as client:
    answer = client.post("/v1/recommendations", json={"history": ["i03", "i01"], "k": 4})
    assert answer.status_code == 200, answer.text
    assert [one["item"] for one in answer.json()["items"]] == [one["item"] for one in listed]
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> dict[str, str]:
    """An environment in which the example is installed."""
    folder = tmp_path_factory.mktemp("site")
    copied = tmp_path_factory.mktemp("source") / "own_model"
    copied.mkdir()
    for name in ("own_model.py", "pyproject.toml", "test_own_model.py"):
        (copied / name).write_text((EXAMPLE / name).read_text(encoding="utf-8"), encoding="utf-8")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*install, "--target", str(folder), str(copied)], check=True, capture_output=True)
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "EXAMPLE": str(copied)}


def run(environment: dict[str, str], *arguments: str) -> None:
    done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout


@pytest.mark.long  # what the contract asks is tested on the models of this package
def test_it_passes_the_contract(environment):
    run(environment, "-m", "pytest", "-q", "-p", "no:cacheprovider", environment["EXAMPLE"])


def test_it_is_trained_evaluated_exported_and_served(environment, tmp_path):
    log = make_log()
    ids = log.items["item"].to_list()
    events = [
        f"{log.users[user]},{ids[item]},{place}"
        for user in range(len(log.histories))
        for place, item in enumerate(log.histories.of(user))
    ]
    (tmp_path / "log.csv").write_text("user,item,timestamp\n" + "\n".join(events) + "\n")
    files = [str(tmp_path / name) for name in ("log.csv", "run", "chain.onnx", "events.db")]
    run(environment, "-c", JOURNEY, *files)
    assert (tmp_path / "chain.onnx").stat().st_size > 0
    with pytest.raises(RunError, match=r"holds a model 'markov', of own-model 0.1.0, which is not installed here"):
        load_run(tmp_path / "run")
