"""A small log whose ids are hard to type, and runs of it."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from foldin.cli import main
from tests.cli.calling import QUICK
from tests.conftest import make_log

Call = Callable[..., tuple[int, str, str]]
ODD = {
    "i00": '"10,5"',
    "i01": "10",
    "i02": "5",
    "i03": " x",
    "i04": "a b",
    "i05": '"say ""hi"""',
    "i06": "7",
    "i07": "7 ",
}


@pytest.fixture
def foldin(capsys: pytest.CaptureFixture[str]) -> Call:
    """Calls the program: (exit code, standard output, standard error)."""

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main([str(one) for one in arguments])
        found = capsys.readouterr()
        return int(stop.value.code or 0), found.out, found.err

    return call


@pytest.fixture(scope="session")
def odd_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    log = make_log(users=60, items=20)
    rows = zip(
        log.users.gather(log.histories.users()),
        log.items["item"].gather(log.histories.items.astype("int64")),
        strict=True,
    )
    path = tmp_path_factory.mktemp("odd") / "log.csv"
    path.write_text(
        "user,item,rating\n" + "".join(f"{u},{ODD.get(i, i)},{4 + k % 2}\n" for k, (u, i) in enumerate(rows))
    )
    return path


@pytest.fixture(scope="session")
def odd_run(odd_log: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """EASE, which has no list of its own for a user without a history."""
    run = tmp_path_factory.mktemp("runs") / "ease"
    with pytest.raises(SystemExit) as stop:
        main(["fit", str(odd_log), "--min-rating", "4", "--model", "ease", "--out", str(run), "--device", "cpu"])
    assert not stop.value.code
    return run


@pytest.fixture(scope="session")
def path(tmp_path_factory):
    log = make_log()
    ids = log.items["item"]
    frame = pl.DataFrame(
        {
            "user": log.users.gather(log.histories.users()),
            "item": ids.gather(log.histories.items.astype("int64")),
            "timestamp": log.histories.times,
        }
    )
    folder = tmp_path_factory.mktemp("log")
    frame.write_csv(folder / "log.csv")
    titles = pl.DataFrame({"item": ids, "title": [f"Film {one}" for one in ids]})
    titles.write_csv(folder / "items.csv")
    return folder / "log.csv"


@pytest.fixture(scope="session")
def run(path, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "vae"
    with pytest.raises(SystemExit) as stop:
        main(["fit", str(path), "--model", "multvae", "--out", str(folder), *QUICK])
    assert not stop.value.code
    return folder
