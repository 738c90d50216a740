"""A run, and the events of new users in parts."""

from pathlib import Path

import polars as pl
import pytest

import foldin
from tests.conftest import make_log


def events(users: int = 60) -> pl.DataFrame:
    """The events of some users, in the order of the users."""
    log = make_log(users=users, seed=5)
    ids = log.items["item"].gather(log.histories.items.astype("int64"))
    return pl.DataFrame(
        {"user": log.users.gather(log.histories.users()), "item": ids, "timestamp": log.histories.times}
    )


def write_parts(folder: Path, table: pl.DataFrame, count: int) -> Path:
    """A folder of CSV files, each with all events of its users."""
    folder.mkdir(parents=True)
    number = table["user"].str.slice(1).cast(pl.Int64)
    for at in range(count):
        table.filter(number % count == at).write_csv(folder / f"part-{at}.csv")
    return folder


@pytest.fixture(scope="session")
def saved(tmp_path_factory) -> Path:
    """A run of Mult-VAE, which has a posterior."""
    split = foldin.split(make_log(), "strong", held_out=20)
    folder = tmp_path_factory.mktemp("runs") / "vae"
    foldin.train(split, foldin.MultVAE(latent_dim=4, hidden_dims=()), epochs=2, metrics=("ndcg@10",)).save(folder)
    return folder


@pytest.fixture
def parts(tmp_path) -> Path:
    return write_parts(tmp_path / "users", events(), 4)
