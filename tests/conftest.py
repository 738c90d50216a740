"""Small logs that tests share."""

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import polars as pl
import pytest
import sqlalchemy as sa
import torch

from foldin.data import Columns, EventLog, ReadReport, Split, log_from_table, strong
from tests.gpu.device import DEVICE, available
from tests.serve.postgres import Postgres, emptied

torch.set_num_threads(1)
hypothesis.settings.register_profile("foldin", deadline=None)  # no test fails for the time that it takes
hypothesis.settings.load_profile("foldin")

# Folders and files whose tests take seconds each: browsers, services, scripts, trainings of all models; and the book.
SLOW = (
    *("book", "browser", "cli", "contract", "docs", "examples", "generative", "golden", "ranking", "runs", "scripts"),
    *("serve", "test_memory", "test_sklearn"),
    *("inference/test_ais", "inference/test_black_box", "inference/test_variational_mixture", "models", "rules"),
    *("training/test_compiled", "training/test_fit", "evaluation", "probability/test_fits"),
)
# What is left to `make test-slow`: the better part of a minute each, or what breaks seldom and takes seconds.
BLACK_BOX = "inference/test_black_box.py::test_"
LONG = (
    "browser/test_drift",
    "browser/test_experiments",
    "cluster/test_nodes",
    *(
        "docs/guide/cluster.md",
        "docs/guide/tuning.md",
        "docs/guide/workers.md",
        "docs/ko",
        "docs/README.ko.md",
        "docs/test_epub.py::test_a_chapter",
    ),
    *(f"book/test_mutants.py::test_{name}" for name in ("what_is_listed", "a_changed_bound")),
    *(f"scripts/test_kept.py::test_{name}" for name in ("what_only_shows", "a_service_that_a_script")),
    "scripts/test_tiny.py::test_it_runs[reproductions/ddpm]",
    *(f"{BLACK_BOX}logistic_regression", f"{BLACK_BOX}several_parameters", f"{BLACK_BOX}constrained_parameters_stay"),
)
# Figures of the book whose numbers are compared with the library in every run; those of the others in `make test-slow`.
FIGURES = ("figures", "kl_bars", "elbo_gap", "attention_mask", "gaussian_kl")
# Those whose files take longest come first, so that no worker is left alone with them at the end.
FIRST = ("browser", "scripts", "docs", "ranking", "cli", "training", "serve/test_event_store", "serve/test_faults")


def _where(item: pytest.Item) -> str:
    """The path of a test below this folder; that of an example in the README or the documentation begins with `docs`."""
    root = Path(__file__).parent
    if item.path.is_relative_to(root):
        return str(item.path.relative_to(root))
    page = item.path.relative_to(root.parent)
    return str(page if page.parts[0] == "docs" else Path("docs", page))


def _is_long(item: pytest.Item, where: str) -> bool:
    """Whether a test is left to `make test-slow`."""
    figure = where.removeprefix("book/figures/test_").removesuffix(".py")
    return f"{where}::{item.name}".startswith(LONG) or (figure != where.removesuffix(".py") and figure not in FIGURES)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks of tests by where they are; the long ones are left out unless they are asked for."""
    for item in items:
        if _where(item).startswith(SLOW):
            item.add_marker(pytest.mark.slow)
        if _is_long(item, _where(item)):
            item.add_marker(pytest.mark.long)
        if _where(item).startswith("gpu"):
            item.add_marker(pytest.mark.gpu)
            if not available(DEVICE):
                item.add_marker(pytest.mark.skip(reason=f"no {DEVICE} here"))
        if item.get_closest_marker("long") and os.environ.get("FOLDIN_TESTS") != "all":
            item.add_marker(pytest.mark.skip(reason="left to `make test-slow`"))
    place = {name: at for at, name in enumerate(FIRST)}

    def order(item: pytest.Item) -> int:
        where = _where(item)
        return next((place[name] for name in FIRST if where.startswith(name)), len(FIRST))

    items.sort(key=order)


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    """The service that a test starts in this process sets up its log; the next test finds it as it was."""
    logger = logging.getLogger("foldin.serve")
    level, handlers = logger.level, list(logger.handlers)
    yield
    logger.setLevel(level)
    logger.handlers[:] = handlers


@pytest.fixture
def set_threads() -> Iterator[Callable[[int], None]]:
    """Changes PyTorch's number of threads for a test."""
    yield torch.set_num_threads
    torch.set_num_threads(1)


def make_log(users: int = 120, items: int = 40, seed: int = 0, times: bool = True) -> EventLog:
    """Users of two tastes: the first half of the catalog or the second, with a little noise."""
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


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    """A PostgreSQL of its own; skipped where the system has none."""
    found = Postgres.find()
    if found is None:
        pytest.skip("no PostgreSQL on this machine")
    found.start()
    yield found
    found.remove()


@pytest.fixture
def postgres(server: Postgres) -> Iterator[str]:
    """The URL of a PostgreSQL that tests share; what a test wrote is deleted after it."""
    yield server.url
    engine = sa.create_engine(server.url.replace("postgresql:", "postgresql+psycopg:"))
    emptied(engine)
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database, of both kinds in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/events.db"
    return str(request.getfixturevalue("postgres"))


@pytest.fixture
def store(url: str) -> Iterator[Any]:
    """An event store in the database, which is emptied afterwards."""
    from foldin.serve import EventStore, connect  # the service is not imported where no test needs it

    engine = connect(url)
    yield EventStore(engine)
    engine.dispose()


def write_csv(path: Path, rows: list[tuple[object, ...]], header: tuple[str, ...]) -> Path:
    path.write_text("\n".join(",".join(map(str, row)) for row in (header, *rows)) + "\n", encoding="utf-8")
    return path
