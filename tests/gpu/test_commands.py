"""The command line with `--device`."""

import json

import polars as pl
import pytest

from tests.cli.calling import call
from tests.gpu.device import DEVICE


def printed(capsys, *arguments) -> str:
    code, out, error = call(capsys, *arguments)
    assert code == 0, error
    return out


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        ("multvae", "float32"),
        ("multvae", "bfloat16"),
        ("sasrec", "float32"),
        ("sasrec", "bfloat16"),
        ("ease", "float32"),
    ],
)
def test_fit_evaluate_and_recommend(name, precision, log, tmp_path, capsys):
    ids = log.items["item"]
    rows = [
        (log.users[user], ids[int(item)], 10**9 + at)
        for user in range(len(log.histories))
        for at, item in enumerate(log.histories.of(user))
    ]
    path, run = tmp_path / "log.csv", tmp_path / "run"
    pl.DataFrame(rows, schema=["user", "item", "timestamp"], orient="row").write_csv(path)
    epochs = () if name == "ease" else ("--epochs", 2)
    printed(capsys, "fit", path, "--model", name, "--out", run, "--device", DEVICE, "--precision", precision, *epochs)
    lists = []
    for device in (DEVICE, "cpu"):
        told = printed(capsys, "recommend", run, "--history", "i01,i02", "-k", 5, "--device", device, "--json")
        lists.append(json.loads(told)["items"])
    assert [one["item"] for one in lists[0]] == [one["item"] for one in lists[1]]
    json.loads(printed(capsys, "evaluate", run, "--device", DEVICE, "--json"))
