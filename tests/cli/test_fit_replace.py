"""The nightly retraining as a line of a crontab: what it prints, and with which exit code it ends."""

import json
from pathlib import Path

import pytest

from foldin.data import read_log
from foldin.experiment import fit_all
from foldin.runs import add_generation, generations, load_run
from foldin.serve import DeploymentStore, RunRef, connect
from tests.cli.calling import call
from tests.experiment.nightly import FEW, rows

EASE = ["--model", "ease", "--set", "regularization=10", "--device", "cpu", "--all"]
VAE = [
    "--model",
    "multvae",
    "--set",
    "latent_dim=4",
    "--set",
    "hidden_dims=",
    "--epochs",
    "2",
    "--device",
    "cpu",
    "--all",
]


@pytest.fixture(scope="module")
def logs(tmp_path_factory) -> list[Path]:
    """The log of the days before, and with one and two further days."""
    folder = tmp_path_factory.mktemp("nights")
    found = []
    for nights in range(3):
        text = "".join(f"{user},{item},{time}\n" for user, item, time in rows(nights))
        found.append(folder / f"events{nights}.csv")
        found[-1].write_text(f"user,item,timestamp\n{text}")
    return found


def served(capsys, logs, tmp_path, model: str) -> Path:
    run = tmp_path / "shop"
    assert call(capsys, "fit", logs[0], "--model", model, "--all", "--out", run)[0] == 0
    return run


def test_a_better_model_is_swapped_in_and_the_exit_code_is_0(capsys, logs, tmp_path):
    run = served(capsys, logs, tmp_path, "popularity")
    code, out, err = call(capsys, "fit", logs[1], *EASE, "--replace", run)
    assert code == 0
    assert out.startswith("swapped, generation 2 is in service: accepted: the difference of ndcg@10 is +0.")
    assert f"comparing both on {FEW} users" in err
    assert load_run(run).name == "ease"
    code, out, _ = call(capsys, "recommend", run, "--history", "i00,i02", "--json")
    assert code == 0
    assert {int(one["item"][1:]) % 2 for one in json.loads(out)["items"]} == {0}
    code, out, _ = call(capsys, "runs", "list", run, "--json")
    assert (code, [(one["generation"], one["model"], one["state"]) for one in json.loads(out)["generations"]]) == (
        0,
        [(1, "popularity", "kept"), (2, "ease", "in service")],
    )
    assert call(capsys, "runs", "rollback", run)[1] == f"generation 1 of {run} is in service\n"
    assert load_run(run).name == "popularity"
    assert json.loads(call(capsys, "runs", "rollback", run, "--to", "2", "--json")[1])["generation"] == 2
    assert "in service" in call(capsys, "runs", "list", run)[1].splitlines()[-1]
    code, _, err = call(capsys, "fit", logs[1], "--model", "ease", "--out", run)
    assert (code, "holds a finished run" in err) == (2, True)


def test_after_a_roll_back_over_http_the_night_compares_with_what_serves(capsys, logs, tmp_path):
    """On an event store, whose deployments are changed here as the service does. Generation 2 is worse and was rolled back."""
    url, run = f"sqlite:///{tmp_path}/events.db", tmp_path / "shop"
    assert call(capsys, "events", "import", logs[0], url)[0] == 0
    assert call(capsys, "fit", url, *EASE, "--replace", run)[0] == 0
    rows = DeploymentStore(connect(url))
    rows.deploy("shop", reference(run), key="command line")
    add_generation(run, fit_all(read_log(url), "popularity").save)
    rows.deploy("shop", reference(run), key="watch")
    rows.roll_back("shop", key="admin")
    assert call(capsys, "events", "import", logs[1], url)[0] == 0
    same = ["fit", url, "--model", "popularity", "--all", "--replace", run, "--undecided", "fresh", "--json"]
    code, out, err = call(capsys, *same)
    content = json.loads(out)
    assert (code, content["outcome"], content["generation"]) == (3, "worse", 1)
    assert content["tonight"]["incumbent"]["model"] == "ease"
    assert f"the service answers with {run}/generations/0001, not with the current run of {run}" in err
    better = ["fit", url, *EASE, "--replace", run, "--if-better", "ndcg@10:-0.9", "--keep-generations", "1", "--json"]
    code, out, _ = call(capsys, *better)
    assert (code, json.loads(out)["generation"]) == (0, 3)
    assert [one.number for one in generations(run)] == [1, 2, 3]  # the deployments name the first two
    rows.engine.dispose()


def reference(run: Path) -> RunRef:
    """The current generation of a folder as a service names it."""
    found = load_run(run)
    return RunRef(str(found.folder.resolve()), found.info["digest"])


def test_a_worse_model_is_not_and_the_exit_code_is_3(capsys, logs, tmp_path):
    run = served(capsys, logs, tmp_path, "ease")
    code, out, _ = call(capsys, "fit", logs[1], "--model", "popularity", "--all", "--replace", run, "--json")
    content = json.loads(out)
    assert (code, content["outcome"], content["swapped"], content["generation"]) == (3, "worse", False, None)
    assert content["pooled"]["high"] < 0.0
    assert content["rule"] == {"metric": "ndcg@10", "margin": -0.01, "undecided": "keep"}
    assert content["tonight"]["users"] == FEW
    assert (content["tonight"]["incumbent"]["model"], content["tonight"]["challenger"]["model"]) == (
        "ease",
        "popularity",
    )
    assert content["why"].startswith("not swapped: worse: ")
    assert load_run(run).name == "ease"


def test_an_equal_model_is_undecided_and_swapped_in_only_if_that_is_wanted(capsys, logs, tmp_path):
    run = served(capsys, logs, tmp_path, "popularity")
    same = ["fit", logs[1], "--model", "popularity", "--all", "--replace", run]
    code, out, _ = call(capsys, *same)
    assert (code, "undecided" in out) == (3, True)
    code, out, _ = call(capsys, *same, "--undecided", "fresh")
    assert (code, out.splitlines()[0].endswith("and then the fresh model is taken")) == (0, True)
    code, out, _ = call(capsys, *same)
    assert (code, "no known user took a new item" in out) == (3, True)
    assert load_run(run).folder.name == "0002"


def test_one_line_does_for_the_first_night_and_for_those_after_it(capsys, logs, tmp_path):
    """With a start from the run in service, which does not exist on the first night."""
    run = tmp_path / "shop"
    line = [*VAE, "--replace", run, "--from", run, "--if-better", "ndcg@10:-0.9", "--keep-generations", "1"]
    code, out, _ = call(capsys, "fit", logs[0], *line)
    assert (code, "there was no run in service" in out) == (0, True)
    for night in (1, 2):
        code, out, _ = call(capsys, "fit", logs[night], *line, "--json")
        content = json.loads(out)
        assert (code, content["outcome"], content["generation"]) == (0, "accepted", night + 1)
        assert content["epochs"] == 2
    assert "started_from" in load_run(run).info
    assert sorted(one.name for one in (run / "generations").iterdir()) == ["0002", "0003"]


def test_training_on_everybody_into_a_folder(capsys, logs, tmp_path):
    code, out, _ = call(capsys, "fit", logs[1], *VAE, "--out", tmp_path / "run", "--json")
    content = json.loads(out)
    assert (code, content["users"]) == (0, 120)
    info = load_run(tmp_path / "run").info
    assert (info["protocol"], info["cold_epochs"]) == ("all", content["epochs"])
    code, out, _ = call(capsys, "fit", logs[1], "--model", "ease", "--all", "--out", tmp_path / "ease")
    assert out.startswith("trained on all 120 users, saved in ")
    code, _, err = call(capsys, "fit", logs[1], "--model", "ease", "--all", "--out", tmp_path / "ease")
    assert (code, "holds a finished run" in err) == (2, True)
    code, _, err = call(
        capsys, "fit", logs[1], *VAE[:-1], "--out", tmp_path / "warm", "--from", tmp_path / "run", "--epochs", "1"
    )
    assert (code, "the metrics are optimistic" in err) == (0, True)


def test_a_line_with_a_decay_adds_the_later_events_to_the_statistics_of_the_run(capsys, logs, tmp_path):
    run = tmp_path / "shop"
    lda = ["--model", "lda", "--set", "n_components=2", "--epochs", "2", "--all", "--replace", run]
    line = [*lda, "--from", run, "--decay", "0.9", "--if-better", "ndcg@10:-0.9"]
    assert call(capsys, "fit", logs[0], *line)[0] == 0
    before = load_run(run)
    code, out, _ = call(capsys, "fit", logs[1], *line, "--json")
    assert (code, json.loads(out)["outcome"]) == (0, "accepted")
    after = load_run(run)
    assert (before.info.get("decay"), after.info["decay"]) == (None, 0.9)
    expected = 0.9 * before.statistics.sums["items"].sum() + 3 * FEW
    assert after.statistics.sums["items"].sum() == pytest.approx(expected, rel=1e-5)
    code, _, err = call(capsys, "fit", logs[1], *EASE, "--replace", run, "--from", run, "--decay", "0.9")
    assert (code, "ease: its training cannot start from another run" in err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "one of --out RUN and --replace RUN is needed"),
        (("--out", "x", "--replace", "y", "--all"), "one of --out RUN and --replace RUN is needed"),
        (("--replace", "x"), "--replace needs --all"),
        (("--out", "x", "--all", "--resume"), "--resume does not go with --all"),
        (("--out", "x", "--all", "--calibrate"), "--calibrate does not go with --all"),
        (("--out", "x", "--all", "--track", "tensorboard:y"), "--track does not go with --all"),
        (("--out", "x", "--all", "--protocol", "temporal"), "--protocol temporal does not go with --all"),
        (("--replace", "x", "--all", "--if-better", "ndcg@10"), "METRIC:MARGIN was expected, such as ndcg@10:-0.01"),
        (("--replace", "x", "--all", "--latest", "yesterday"), "a duration such as 12h, 1d or 2w"),
        (("--replace", "x", "--all", "--from", "nowhere"), "nowhere: no such run directory"),
        (("--out", "x", "--all", "--decay", "0.9"), "--decay needs --all and --from RUN"),
        (("--out", "x", "--from", "y", "--decay", "0.9"), "--decay needs --all and --from RUN"),
        (("--replace", "{mine}", "--all"), "files that foldin did not write"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_wrong_options_end_with_exit_code_2_and_one_line(arguments, message, capsys, logs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("mine")
    filled = [one.format(mine=tmp_path / "mine") for one in arguments]
    code, out, err = call(capsys, "fit", logs[1], "--model", "ease", *filled)
    assert (code, out) == (2, "")
    assert message in err
    assert not (tmp_path / "x").exists()


def test_runs_without_generations_say_so(capsys, logs, tmp_path):
    run = served(capsys, logs, tmp_path, "popularity")
    for command in (("list", run), ("rollback", run)):
        code, _, err = call(capsys, "runs", *command)
        assert (code, "holds no generations of a run" in err) == (2, True)
    code, _, err = call(capsys, "runs", "list", tmp_path / "none")
    assert (code, "no such run directory" in err) == (2, True)
