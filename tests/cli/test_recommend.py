"""Ids as they are typed, everybody who is asked for, and files that are not written over."""

import json

import polars as pl
import pytest

from foldin.cli.ids import item_indices
from foldin.data import Catalog
from foldin.errors import ConfigError, UnknownItemError
from foldin.runs import load_run
from tests.damage import change_info

IDS = ["10,5", "10", "5", " x", "a b", 'say "hi"', "7", "7 ", "b", "a,b,c", '"q"']


@pytest.mark.parametrize(
    ("values", "named", "notes"),
    [
        (["10,5"], ["10,5"], 1),
        (["10", "5"], ["10", "5"], 0),
        (['"10,5",7'], ["10,5", "7"], 0),
        (['7,"10,5"'], ["7", "10,5"], 0),
        (['7, "10,5"'], ["7", "10,5"], 0),
        (['"10","5"'], ["10", "5"], 0),
        (["10,7"], ["10", "7"], 0),
        (["10, 7,"], ["10", "7"], 0),
        ([" x"], [" x"], 0),
        (["x"], None, 0),
        ([" x,10"], [" x", "10"], 0),
        (["10, x"], ["10", " x"], 0),
        ([" 10"], ["10"], 0),
        (["7 "], ["7 "], 0),
        (["10,7 "], ["10", "7 "], 1),
        (["a b,b"], ["a b", "b"], 0),
        (['say "hi"'], ['say "hi"'], 0),
        (['say "hi",7'], ['say "hi"', "7"], 0),
        (['"say ""hi""",7'], ['say "hi"', "7"], 0),
        (['"q"'], ['"q"'], 0),
        (['"q",7'], ['"q"', "7"], 0),
        (["a,b,c"], ["a,b,c"], 0),
        (["", " ", ",", ",,"], [], 0),
        (["10,10"], ["10", "10"], 0),
    ],
)
def test_ids_are_taken_as_they_are(values, named, notes):
    catalog = Catalog.from_ids(IDS)
    if named is None:
        with pytest.raises(UnknownItemError, match="--deny: not in the catalog"):
            item_indices(catalog, values, "--deny")
        return
    found, said = item_indices(catalog, values, "--deny")
    assert [IDS[at] for at in found] == named
    assert len(said) == notes
    assert all("--deny" in one for one in said)


def test_an_open_quote_is_said():
    with pytest.raises(ConfigError, match="--history '\"10,5': comma-separated ids were expected"):
        item_indices(Catalog.from_ids(["7"]), ['"10,5'], "--history")


def listed(foldin, run, *more) -> list[str]:
    code, out, err = foldin("recommend", run, "-k", "40", "--json", *more)
    assert code == 0, err
    return [row["item"] for row in json.loads(out)["items"]]


def test_options_name_ids_with_commas_and_blanks(foldin, odd_run):
    whole = set(listed(foldin, odd_run))
    assert {"10,5", "10", "5", " x", "7", "7 ", 'say "hi"'} <= whole
    assert whole - set(listed(foldin, odd_run, "--deny", "10,5")) == {"10,5"}
    assert whole - set(listed(foldin, odd_run, "--deny", '"10,5",7')) == {"10,5", "7"}
    assert whole - set(listed(foldin, odd_run, "--deny", "10", "--deny", "5")) == {"10", "5"}
    assert set(listed(foldin, odd_run, "--allow", '" x",a b')) == {" x", "a b"}
    code, out, err = foldin("recommend", odd_run, "--history", "10,5", "--history", " x", "--json")
    assert code == 0
    assert json.loads(out)["history"] == ["10,5", " x"]
    assert "'10,5' is read as one item" in err
    code, _, err = foldin("recommend", odd_run, "--allow", "")
    assert code == 2
    assert "--allow contains no item" in err


def test_somebody_without_a_history_is_given_what_is_popular_and_told_so(foldin, odd_run):
    table = load_run(odd_run).catalog.table
    popular = table.sort("count", descending=True, maintain_order=True)["item"].to_list()
    code, out, _ = foldin("recommend", odd_run, "-k", "5", "--json")
    about = json.loads(out)
    assert code == 0
    assert [row["item"] for row in about["items"]] == popular[:5]
    assert about["note"] == "no history: these are the most popular items"
    assert "note: no history: these are" in foldin("recommend", odd_run)[1]
    assert "note" not in json.loads(foldin("recommend", odd_run, "--history", "7", "--json")[1])


def test_everybody_who_is_asked_for_gets_a_list(foldin, odd_run, tmp_path):
    (tmp_path / "users.csv").write_text(
        "user,item,rating\nann,7,5\nbob,7,1\ncy,unheard,5\ndee,,5\nann,5,5\n,7,5\neve,10,5\n"
    )
    target = tmp_path / "lists.csv"
    code, out, _ = foldin("recommend", odd_run, "--users", tmp_path / "users.csv", "--out", target, "-k", "4", "--json")
    assert code == 0
    about = json.loads(out)
    assert (about["users"], about["rows"]) == (5, 20)
    assert (about["unknown_events"], about["without_events"], about["given_popularity"]) == (1, 3, 3)
    lists = pl.read_csv(target, schema_overrides={"item": pl.String})
    assert lists["user"].unique(maintain_order=True).to_list() == ["ann", "bob", "cy", "dee", "eve"]
    popular = listed(foldin, odd_run)[:4]
    for user in ("bob", "cy", "dee"):
        assert lists.filter(pl.col("user") == user)["item"].to_list() == popular
    own = listed(foldin, odd_run, "--history", "7", "--history", "5")[:4]
    assert lists.filter(pl.col("user") == "ann")["item"].to_list() == own
    # Nobody at all has an event that can be used.
    (tmp_path / "low.csv").write_text("user,item,rating\n2,7,1\n10,7,1\n")
    code, out, err = foldin("recommend", odd_run, "--users", tmp_path / "low.csv", "--out", target, "-k", "2")
    assert code == 0
    assert "2 users, 4 rows" in out
    assert "2 of them are given the most popular items" in out
    assert "2 users have no usable event" in err
    assert pl.read_csv(target)["user"].to_list() == [2, 2, 10, 10]


def test_only_files_of_the_same_command_are_written_over(foldin, odd_run, odd_log, tmp_path):
    def lists(target, log=odd_log):
        return foldin("recommend", odd_run, "--users", log, "--out", target, "-k", "2")

    for suffix in (".csv", ".ndjson", ".parquet", ".jsonl"):
        target = tmp_path / f"lists{suffix}"
        assert lists(target)[0] == 0
        assert lists(target)[0] == 0  # its own
        for content in ("user,item\nann,7\n", '{"user": 1}\n', "PAR1", "\n", "[]\n"):
            target.write_text(content)
            code, _, err = lists(target)
            assert code == 2
            assert "was not written by this command" in err
            assert target.read_text() == content
        target.write_text("")
        assert lists(target)[0] == 0  # as mktemp makes them
    users = tmp_path / "users.csv"
    users.write_text("user,item,rank,user,title\nann,7,1,a,b\n")
    code, _, err = lists(users, users)
    assert code == 2
    assert "is the input file" in err
    (tmp_path / "folder.csv").mkdir()
    for target, message in (
        (tmp_path / "folder.csv", "is a folder"),
        (users / "l.csv", "is a file, not a folder"),
    ):
        code, _, err = lists(target)
        assert code == 2
        assert message in err


@pytest.mark.parametrize(
    ("command", "suffix"),
    [(("export", "--out"), ".onnx"), (("explain", "--html"), ".html"), (("explain", "--html"), ".txt")],
)
def test_other_commands_leave_somebody_s_files_alone(command, suffix, foldin, odd_run, tmp_path):
    target = tmp_path / f"own{suffix}"
    target.write_text("mine")
    code, _, err = foldin(command[0], odd_run, command[1], target)
    assert code == 2
    assert target.read_text() == "mine"
    assert "was not written by this command" in err or "a file name ending in .html or .htm" in err


@pytest.mark.parametrize("command", [("fit", "{log}", "--model", "popularity", "--out"), ("demo", "--out")])
def test_a_folder_with_somebody_s_files_is_refused_before_anything_is_read(
    command, foldin, odd_log, tmp_path, monkeypatch
):
    monkeypatch.setattr("foldin.data.Source.log", lambda *_, **__: pytest.fail("read"))
    (tmp_path / "metrics.json").write_text('{"mine": 1}')
    code, _, err = foldin(*(one.format(log=odd_log) for one in command), tmp_path)
    assert code == 2
    assert "holds files that foldin did not write (metrics.json)" in err
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("metrics.json", '{"mine": 1}')]


def test_compare_goes_on_without_what_does_not_fit(foldin, odd_log, monkeypatch):
    monkeypatch.setattr("foldin.models.linear.ease.EASE.training_bytes", lambda self, train: 1e18)
    arguments = ("compare", odd_log, "--models", "ease,popularity,ease", "--json")
    code, out, err = foldin(*arguments)
    content = json.loads(out)
    assert code == 0
    assert list(content["models"]) == ["popularity"]
    assert content["left_out"]["ease"].startswith("training EASE of 20 items needs 1,000 PB; ")
    assert "ease is left out: training EASE" in err
    assert "left out: ease: training EASE of 20 items" in foldin(*arguments[:-1])[1]
    code, out, err = foldin("compare", odd_log, "--models", "ease")
    assert (code, out) == (2, "")
    assert "error: training EASE of 20 items needs" in err


def test_a_run_that_does_not_say_where_it_is_from(foldin, odd_run, odd_log, tmp_path):
    run = tmp_path / "run"
    assert foldin("fit", odd_log, "--model", "popularity", "--out", run)[0] == 0
    change_info(run, without=("source",))
    for command in ("evaluate", "explain"):
        code, _, err = foldin(command, run)
        assert code == 2
        assert err.count("\n") == 1
        assert "the run has no source" in err
        assert "name it with --data" in err
        assert foldin(command, run, "--data", odd_log, "--json")[0] == 0
    assert foldin("recommend", run, "--users", odd_log, "--out", tmp_path / "l.csv")[0] == 0


@pytest.mark.parametrize(
    "option",
    [
        ("recommend", "{run}", "-k", "2000000000"),
        ("recommend", "{run}", "--users", "{log}", "--out", "l.csv", "-k", "2000000000000"),
        ("evaluate", "{run}", "--metrics", "ndcg@1000000000,recall@" + "9" * 60),
    ],
    ids=str,
)
def test_a_list_as_long_as_can_be_typed_costs_the_catalog(option, foldin, odd_run, odd_log, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert foldin(*(one.format(run=odd_run, log=odd_log) for one in option))[0] == 0


@pytest.mark.parametrize("index", ["HNSW0", "HNSW1", "IVF0,Flat", "PCA0,Flat", "IVF4_HNSW0,Flat"])
def test_an_index_that_would_end_the_process_is_refused(index, foldin, odd_log, odd_run, tmp_path):
    run = tmp_path / "run"
    settings = ("--set", "latent_dim=4", "--set", "hidden_dims=", "--epochs", "1", "--device", "cpu")
    assert foldin("fit", odd_log, "--model", "multdae", "--out", run, *settings)[0] == 0
    code, _, err = foldin(
        "recommend", run, "--users", odd_log, "--out", tmp_path / "l.csv", "--ranker", f"index:{index}"
    )
    assert code == 2
    assert f"index '{index}': no part of an index has a size of 0" in err


@pytest.mark.parametrize(
    ("model", "setting", "message"),
    [
        ("als", "confidence=1e30", "ALS: NaN encountered in factors; a smaller confidence"),
        ("diffrec", "hidden_dims=", "hidden_dims = (): the width of one layer"),
        ("mixture", "n_components=" + "9" * 25, "needs more than"),
        ("itemknn", "n_neighbors=2000000000", None),
        ("multvae", "batch_size=2000000000", None),
    ],
)
def test_any_number_that_can_be_typed_for_a_setting_is_taken_or_refused_in_a_line(
    model, setting, message, foldin, odd_log, tmp_path
):
    small = ("--set", "latent_dim=4", "--set", "hidden_dims=4", "--epochs", "1") if model == "multvae" else ()
    code, _, err = foldin("fit", odd_log, "--model", model, "--out", tmp_path / "run", *small, "--set", setting)
    assert code == (2 if message else 0)
    if message:
        assert message in err
        assert not (tmp_path / "run").exists()
