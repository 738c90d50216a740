"""Small logs that tests share."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from foldin.data import Columns, EventLog, Histories, ReadReport, Split, log_from_table, strong

torch.set_num_threads(1)


@pytest.fixture
def set_threads() -> Iterator[Callable[[int], None]]:
    """Changes PyTorch's number of threads for a test."""
    yield torch.set_num_threads
    torch.set_num_threads(1)


def make_log(users: int = 120, items: int = 40, seed: int = 0, times: bool = True) -> EventLog:
    """People of two tastes: the first half of the catalogue or the second, with a little noise."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        taste = user % 2
        weights = np.where((np.arange(items) < items // 2) == (taste == 0), 1.0, 0.05) / (
            1 + np.arange(items) % (items // 2)
        )
        count = int(rng.integers(6, 15))
        for item in rng.choice(items, size=count, replace=False, p=weights / weights.sum()):
            rows.append((f"u{user:03d}", f"i{item:02d}", 1_000_000_000 + int(rng.integers(10**7))))
    table = pl.DataFrame(rows, schema=["user", "item", "timestamp"], orient="row")
    columns = Columns(user="user", item="item", time="timestamp" if times else None)
    return log_from_table(
        table, columns, ReadReport(source="made", format="table", columns=columns.roles(), rows=len(rows))
    )


@pytest.fixture(scope="session")
def log() -> EventLog:
    return make_log()


@pytest.fixture(scope="session")
def split(log: EventLog) -> Split:
    return strong(log, held_out=20, seed=3)


def checkerboard(users: int = 60, items: int = 20, seed: int = 0) -> Histories:
    """Even people take most even items, odd people most odd ones."""
    rng = np.random.default_rng(seed)
    lists = []
    for user in range(users):
        own = np.arange(user % 2, items, 2)
        lists.append(rng.permutation(own)[: len(own) - 3])
    return Histories.from_lists(lists, items)


def write_csv(path: Path, rows: list[tuple[object, ...]], header: tuple[str, ...]) -> Path:
    path.write_text("\n".join(",".join(map(str, row)) for row in (header, *rows)) + "\n", encoding="utf-8")
    return path
