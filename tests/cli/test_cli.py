"""The command line as a user meets it."""

import json
import re

import click
import polars as pl
import pytest

from foldin.cli import cli, main
from tests.cli.calling import QUICK, call


def walk(command=cli, name="foldin"):
    yield name
    context = click.Context(command)
    for child in command.list_commands(context) if isinstance(command, click.Group) else ():
        yield from walk(command.get_command(context, child), f"{name} {child}")


@pytest.mark.parametrize("name", list(walk()))
def test_every_command_has_help_with_an_example(name, capsys):
    code, out, err = call(capsys, *name.split()[1:], "--help")
    assert code == 0
    assert err == ""
    assert re.search(r"Example:\n\s+foldin ", out)


def test_fit_prints_a_table_and_keeps_a_run(run, path, capsys, tmp_path):
    code, out, _ = call(capsys, "fit", path, "--model", "ease", "--out", tmp_path / "ease")
    assert code == 0
    assert "ndcg@100" in out
    assert (run / "run.json").exists()


def test_json_is_one_object_and_nothing_else(path, capsys, tmp_path):
    for arguments in (
        ("data", "describe", path, "--protocol", "strong"),
        ("data", "names"),
        ("models",),
        ("models", "ease"),
        ("fit", path, "--model", "popularity", "--out", tmp_path / "run"),
        ("evaluate", tmp_path / "run"),
        ("recommend", tmp_path / "run", "--history", "i03"),
        ("compare", path, "--models", "popularity,ease"),
    ):
        code, out, _ = call(capsys, *arguments, "--json")
        assert code == 0, arguments
        assert isinstance(json.loads(out), dict)


def test_compare_gives_intervals_and_paired_tests(path, capsys):
    code, out, _ = call(
        capsys, "compare", path, "--models", "popularity,ease", "--set", "ease.regularization=10", "--json"
    )
    content = json.loads(out)
    assert code == 0
    assert content["models"]["ease"]["config"] == {"regularization": 10.0, "oldest": 1.0, "features": None}
    assert {"metric", "a", "b", "difference", "low", "high", "p", "p_adjusted"} <= set(content["tests"][0])
    assert set(content) >= {"data", "protocol", "seed", "users", "items", "models", "tests"}
    code, out, _ = call(capsys, "compare", path, "--models", "popularity,ease")
    assert code == 0
    assert "after Holm's correction" in out


def test_evaluate_repeats_what_fit_found(run, capsys):
    code, out, _ = call(capsys, "evaluate", run, "--json")
    assert code == 0
    found = json.loads(out)["models"]["multvae"]["metrics"]
    assert found == json.loads((run / "metrics.json").read_text())


def test_evaluate_refuses_another_log(run, path, capsys, tmp_path):
    text = path.read_text().splitlines()
    (tmp_path / "log.csv").write_text("\n".join(text[:-40]))
    code, out, err = call(capsys, "evaluate", run, "--data", tmp_path / "log.csv")
    assert (code, out) == (2, "")
    assert "is not the one it was trained on" in err


def test_recommend_by_id_and_by_title_agree(run, capsys):
    _, by_id, _ = call(capsys, "recommend", run, "--history", "i03,i04", "-k", "5", "--json")
    _, by_title, _ = call(capsys, "recommend", run, "--likes", "film I03", "--likes", "Film i04", "-k", "5", "--json")
    items = json.loads(by_id)["items"]
    assert items == json.loads(by_title)["items"]
    assert [row["rank"] for row in items] == [1, 2, 3, 4, 5]
    assert items[0]["title"] == f"Film {items[0]['item']}"
    assert not {"i03", "i04"} & {row["item"] for row in items}
    _, limited, _ = call(
        capsys, "recommend", run, "--history", "i03", "--allow", "i03,i05,i06", "--deny", "i06", "--json"
    )
    assert [row["item"] for row in json.loads(limited)["items"]] == ["i05"]


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".ndjson"])
def test_recommend_for_a_file(run, suffix, capsys, tmp_path):
    (tmp_path / "users.csv").write_text("user,item\nann,i01\nann,i02\nbob,i30\nbob,unheard\n")
    target = tmp_path / f"lists{suffix}"
    code, out, err = call(capsys, "recommend", run, "--users", tmp_path / "users.csv", "--out", target, "-k", "4")
    assert code == 0
    assert "1 events with 1 items that are not in the model's catalog are ignored" in err
    assert "2 users, 8 rows" in out
    read = {".parquet": pl.read_parquet, ".csv": pl.read_csv, ".ndjson": pl.read_ndjson}[suffix]
    lists = read(target)
    assert lists.columns == ["user", "rank", "item", "title", "probability"]
    _, alone, _ = call(capsys, "recommend", run, "--history", "i01,i02", "-k", "4", "--json")
    assert lists.filter(pl.col("user") == "ann")["item"].to_list() == [
        row["item"] for row in json.loads(alone)["items"]
    ]


def test_resume_after_a_finished_run_and_without_one(run, path, capsys, tmp_path):
    code, _, err = call(capsys, "fit", path, "--model", "multvae", "--out", run, *QUICK)
    assert code == 2
    assert "holds a finished run" in err
    code, out, _ = call(
        capsys, "fit", path, "--model", "multvae", "--out", tmp_path / "new", *QUICK, "--resume", "--json"
    )
    assert code == 0
    assert json.loads(out)["models"]["multvae"]["epochs"] == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fit", "none.csv", "--model", "ease", "--out", "x"), "none.csv: no such file or folder"),
        (("fit", "{log}", "--model", "eas", "--out", "x"), "'eas' is not one of popularity"),
        (("fit", "{log}", "--model", "ease", "--out", "x", "--set", "lambda=1"), "EASE has no setting 'lambda'"),
        (("fit", "{log}", "--model", "ease", "--out", "x", "--set", "regularization=-1"), "must be > 0"),
        (("fit", "{log}", "--model", "ease", "--out", "x", "--set", "regularization"), "FIELD=VALUE was expected"),
        (("fit", "{log}", "--model", "ease", "--out", "x", "--device", "abacus"), "device 'abacus' is not available"),
        (("fit", "{log}", "--model", "ease", "--out", "x", "--protocol", "given"), "neither train, validation_tr"),
        (("fit", "{log}", "--model", "ease", "--out", "x", "--metric", "auc"), "metric 'auc'"),
        (("compare", "{log}", "--set", "regularization=1"), "MODEL.FIELD=VALUE was expected"),
        (("evaluate", "nowhere"), "nowhere: no such run directory"),
        (("recommend", "{run}", "--likes", "Flim i03"), "did you mean 'Film i03'"),
        (("recommend", "{run}", "--history", "zz"), "not in the catalog of"),
        (("recommend", "{run}", "--out", "x.csv"), "--out needs --users FILE"),
        (("recommend", "{run}", "--users", "{log}", "--out", "x.txt"), "a file name ending in .parquet or .csv"),
        (
            ("recommend", "{run}", "--history", "i01", "--ranker", "beam:9"),
            "a beam searches items that have tokens",
        ),
        (("recommend", "{run}", "--users", "{log}", "--out", "x.csv", "--ranker", "index:Heap"), "index 'Heap'"),
        (("recommend", "{run}", "--ranker", "best"), "ranker 'best': one of exact, beam:WIDTH"),
        (("recommend", "{run}", "--ranker", "gumbel:warm"), "ranker 'gumbel:warm': one of exact"),
        (
            ("recommend", "{run}", "--ranker", "gumbel:-1"),
            "a temperature must be a positive number of at least 1e-100, not -1",
        ),
        (("recommend", "{run}", "--explore", "--ranker", "index:Flat"), "--explore means --ranker sample"),
        (("recommend", "{run}", "--where", "{{"), "--where: '{' is no JSON"),
        (("recommend", "{run}", "--where", '{{"genre": {{"any": ["x"]}}}}'), "--where: genre: no condition 'any'"),
        (("evaluate", "{run}", "--ranker", "beam"), "a beam searches items that have tokens"),
        (("export", "{run}", "--out", "model.pt"), "a file name ending in .onnx"),
        (("export", "{run}", "--out", "model.onnx", "-k", "5000"), "k = 5000: a list of 1 to"),
        (("fit", "{log}", "--model", "sasrec", "--out", "x", "--set", "n_heads=3"), "must divide embedding_dim = 64"),
        (
            ("fit", "{log}", "--model", "ease", "--out", "x", "--held-out", "nan"),
            "held_out = nan: a share below 1 or a number",
        ),
        (
            ("fit", "{log}", "--model", "ease", "--out", "x", "--held-out", "inf"),
            "held_out = inf: a share below 1 or a number",
        ),
        (
            ("fit", "{log}", "--model", "ease", "--out", "x", "--protocol", "temporal", "--held-out", "nan"),
            "windows of nan and nan of the events leave nothing",
        ),
        (("fit", "{log}", "--model", "ease", "--out", "x", "--seed", "9" * 30), "is not in the range"),
        (("fit", "{log}", "--model", "ease", "--out", "x", "--device", "meta"), "device 'meta' is not available"),
        (("explain", "{run}", "--draws", "9" * 30), "is not in the range"),
        (("evaluate", "{run}", "--metrics", "ndcg@²"), "metric 'ndcg@²'"),
        (("data", "describe", "{log}", "--user", "who"), "no column 'who' (--user)"),
        (("data", "fetch", "ml-7z"), "no data set named 'ml-7z'"),
        (("frob",), "No such command 'frob'"),
        (("fit",), "Missing argument 'PATH'"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_code_two(arguments, message, run, path, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = call(capsys, *(a.format(log=path, run=run) for a in arguments))
    assert code == 2
    assert out == ""
    assert message in err
    assert "Traceback" not in err
    assert not list(tmp_path.iterdir())


def test_a_bug_is_not_hidden(path, capsys, monkeypatch):
    monkeypatch.setattr("foldin.data.source.read_log", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["data", "describe", str(path)])


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell, capsys):
    code, out, _ = call(capsys, "completion", shell)
    assert code == 0
    assert "_FOLDIN_COMPLETE" in out


def test_describe_counts_what_was_dropped(path, capsys, tmp_path):
    text = path.read_text().rstrip("\n")
    (tmp_path / "log.csv").write_text(text + "\n,i01,1000000000\n" + text.splitlines()[1] + "\n")
    code, out, _ = call(capsys, "data", "describe", tmp_path / "log.csv")
    assert code == 0
    assert "1 no value in the user column 'user'" in out
    assert "1 repeated events of a user with an item (the first is kept)" in out


def test_a_temperature_is_fitted_when_asked_for(path, capsys, tmp_path):
    code, out, _ = call(capsys, "fit", path, "--model", "ease", "--out", tmp_path / "run", "--calibrate")
    assert code == 0
    assert "ease: temperature" in out
    assert "nats per event" in out
    _, out, _ = call(capsys, "recommend", tmp_path / "run", "--history", "i03", "--json")
    assert all(0 < row["probability"] < 1 for row in json.loads(out)["items"])
    code, out, _ = call(capsys, "explain", tmp_path / "run")
    assert code == 0
    assert "over all held-out events" in " ".join(out.split())
    code, out, _ = call(capsys, "compare", path, "--models", "ease,popularity", "--calibrate", "--json")
    assert code == 0
    about = json.loads(out)["models"]
    assert about["ease"]["metrics"]["perplexity_per_event"]["mean"] > 1
    assert {"temperature", "gain", "before", "after", "users", "events"} == set(about["popularity"]["calibration"])


def test_recommend_by_an_index_measures_what_it_found(run, path, capsys, tmp_path):
    target = tmp_path / "lists.csv"
    arguments = ["recommend", run, "--users", path, "--out", target, "-k", "3"]
    code, out, _ = call(capsys, *arguments, "--ranker", "index:Flat", "--json")
    assert code == 0
    assert json.loads(out)["recall_of_exact"] == 1.0
    found = pl.read_csv(target)
    call(capsys, *arguments)
    exact = pl.read_csv(target)
    assert found["item"].to_list() == exact["item"].to_list()
    assert "score" in found.columns
    assert "probability" in exact.columns
    assert "of the exact lists were found" in call(capsys, *arguments, "--ranker", "index:HNSW32:64")[1]


def test_export_writes_a_graph(run, capsys, tmp_path):
    target = tmp_path / "model.onnx"
    code, out, _ = call(capsys, "export", run, "--out", target, "-k", "4", "--json")
    assert code == 0
    assert json.loads(out)["bytes"] == target.stat().st_size


def test_an_interrupt_keeps_a_run_that_can_be_used_and_resumed(path, capsys, tmp_path, monkeypatch):
    target = tmp_path / "run"
    arguments = ["fit", path, "--model", "multvae", "--out", target, *QUICK]

    def interrupt(self, record):
        if record.epoch == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("foldin.cli.output.FitBar.epoch", interrupt)
    code, _, err = call(capsys, *arguments)
    assert code == 0
    assert "--resume continues from the last epoch" in err
    assert json.loads((target / "run.json").read_text())["stopped"] == "interrupted"
    assert call(capsys, "recommend", target, "--history", "i03")[0] == 0
    monkeypatch.undo()
    code, out, _ = call(capsys, *arguments, "--resume", "--json")
    assert code == 0
    assert json.loads(out)["models"]["multvae"]["epochs"] == 3
    assert not (target / "checkpoint.safetensors").exists()
    code, _, err = call(capsys, *arguments, "--resume")
    assert code == 2
    assert "holds a finished run" in err


def test_an_interrupt_before_the_first_epoch_keeps_nothing(path, capsys, tmp_path, monkeypatch):
    def interrupt(self, plan, epochs, done):
        raise KeyboardInterrupt

    monkeypatch.setattr("foldin.cli.output.FitBar.begin", interrupt)
    code, _, err = call(capsys, "fit", path, "--model", "multvae", "--out", tmp_path / "run", *QUICK)
    assert code == 130
    assert "interrupted" in err
    assert not (tmp_path / "run" / "run.json").exists()


def test_an_interrupt_in_compare_is_not_a_result(path, capsys, monkeypatch):
    def interrupt(self, record):
        raise KeyboardInterrupt

    monkeypatch.setattr("foldin.cli.output.FitBar.epoch", interrupt)
    code, out, _ = call(capsys, "compare", path, "--models", "multvae,popularity", "--epochs", "3", "--json")
    assert (code, out) == (130, "")


def test_titles_are_text_never_markup(path, capsys, tmp_path):
    (tmp_path / "items.csv").write_text("item,title\n" + "".join(f"i{k:02d},[/b] film [rec] {k}\n" for k in range(40)))
    call(capsys, "fit", path, "--model", "popularity", "--out", tmp_path / "run", "--items", tmp_path / "items.csv")
    code, out, _ = call(capsys, "recommend", tmp_path / "run", "--history", "i03", "-k", "3")
    assert code == 0
    assert "Took: [/b] film [rec] 3" in out
    assert out.count("[/b] film [rec]") == 4


def test_users_in_a_file_are_read_as_the_run_was(capsys, tmp_path):
    rows = [(f"u{u}", f"i{(u + k) % 12}", 5 if k < 6 else 1) for u in range(40) for k in range(9)]
    (tmp_path / "log.csv").write_text("user,item,rating\n" + "".join(f"{u},{i},{r}\n" for u, i, r in rows))
    call(capsys, "fit", tmp_path / "log.csv", "--min-rating", "4", "--model", "popularity", "--out", tmp_path / "run")
    code, _, _ = call(
        capsys, "recommend", tmp_path / "run", "--users", tmp_path / "log.csv", "--out", tmp_path / "l.csv", "-k", "12"
    )
    assert code == 0
    lists = pl.read_csv(tmp_path / "l.csv")
    assert lists.filter(pl.col("user") == "u0")["item"].sort().to_list() == sorted(f"i{k}" for k in range(6, 12))


def test_the_same_item_twice_is_one_event(run, capsys):
    _, once, _ = call(capsys, "recommend", run, "--history", "i03,i05", "--json")
    _, twice, _ = call(capsys, "recommend", run, "--history", "i03,i03,i05", "--likes", "Film i05", "--json")
    assert json.loads(once) == json.loads(twice)


def test_a_run_can_be_read_by_others(run):
    assert all(file.stat().st_mode & 0o044 == 0o044 for file in run.iterdir())
