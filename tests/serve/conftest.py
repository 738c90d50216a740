"""Runs, stores and a service to call."""

from pathlib import Path

import polars as pl
import pytest
from fastapi.testclient import TestClient

from foldin.data import Catalog, Source
from foldin.experiment import train
from foldin.models import MODELS, MultVAE, MultVAEConfig
from foldin.runs import load_run, save_run
from foldin.serve import EventStore, KeyRing, Limits, Registry, Service, Telemetry, connect, make_app
from foldin.testing import two_tastes
from foldin.training import fit

ITEMS = 20
SETTINGS = {
    "multvae": {"hidden_dims": (), "latent_dim": 8, "epochs": 20, "batch_size": 20, "learning_rate": 0.02},
    "ease": {"regularization": 1.0},
    "popularity": {},
    "lda": {"n_components": 2},
    "semantic": {
        **{"tokens.levels": 2, "tokens.codebook_size": 4, "tokens.embedding_dim": 4},
        **{"embedding_dim": 8, "epochs": 2},
    },
}
SERVED = ("multvae", "ease", "popularity", "semantic")


def make_run(folder: Path, name: str, seed: int = 0) -> Path:
    """A run of a tiny model on the checkerboard, with titles and attributes."""
    config = MODELS[name]().with_settings(SETTINGS[name])
    model = config.model_class(ITEMS, config, seed=seed)
    train = two_tastes(60, ITEMS)
    fit(model, train, seed=seed)
    parity = ["even", "odd"] * (ITEMS // 2)
    table = pl.DataFrame(
        {
            "item": [f"i{at}" for at in range(ITEMS)],
            "title": [f"Film {at}, the {of} one" for at, of in enumerate(parity)],
            "count": train.counts(),
            "kind": parity,
            "year": [None, *range(1981, 1980 + ITEMS)],
        }
    )
    save_run(folder, model=model, catalog=Catalog(table), info={"seed": seed})
    return folder


HOSTILE_TITLES = (
    "x" * 300,
    "<img src=x onerror=alert(1)><b>bold</b> & <script>alert(2)</script>",
    "עברית ו English ביחד (2024) " * 4,
    "👩\u200d👩\u200d👧\u200d👦" * 60,
    "A title of many words that goes on " * 9,
    "\u202eright to left override",
    "Zalgo " + "a\u0301\u0302\u0303" * 60,
    "한국어제목" * 40,
    "https://example.org/" + "path/" * 60,
    " ",
)


def make_hostile_run(folder: Path, name: str) -> Path:
    """A run whose items have titles and features that break layouts."""
    made = load_run(make_run(folder, name))
    titles = [f"{HOSTILE_TITLES[at % len(HOSTILE_TITLES)]}{at}" for at in range(ITEMS)]
    table = made.catalog.table.with_columns(pl.Series("title", titles), pl.lit("y" * 200).alias("feature_" + "z" * 120))
    save_run(folder, model=made.model, catalog=Catalog(table), info={"seed": 0})
    return folder


def make_judged_run(folder: Path) -> Path:
    """A run that knows its log, and was judged on it: there is everything to tell of it."""
    train_ = two_tastes(80, ITEMS)
    log = folder.parent / "checkerboard.csv"
    rows = [f"u{user},i{item}" for user, item in zip(train_.users(), train_.items, strict=True)]
    log.write_text("user,item\n" + "\n".join(rows) + "\n", encoding="utf-8")
    source = Source(path=str(log), protocol="strong", held_out=10)
    split = source.split()
    trained = train(split, MODELS["multvae"](**{**SETTINGS["multvae"], "epochs": 6}))
    trained.save(folder)
    return folder


def make_large_run(folder: Path, items: int = 10_000) -> Path:
    """An untrained model of many items."""
    model = MultVAE(items, MultVAEConfig(hidden_dims=(), latent_dim=8))
    names = [f"i{at}" for at in range(items)]
    table = pl.DataFrame({"item": names, "title": [f"Thing {at}" for at in range(items)], "count": [1] * items})
    save_run(folder, model=model, catalog=Catalog(table), info={"seed": 0})
    return folder


@pytest.fixture(scope="session")
def runs(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("runs")
    return {name: make_run(root / name, name) for name in SERVED}


@pytest.fixture
def service(runs, tmp_path):
    engine = connect(f"sqlite:///{tmp_path}/events.db")
    registry = Registry()
    for name in SERVED:
        registry.deploy(runs[name])
    registry.make_default("multvae")
    limits = Limits(history=50, k=100, batch=20, ids=100, body=20_000)
    yield Service(registry, EventStore(engine), limits, Telemetry())
    registry.close()
    engine.dispose()


@pytest.fixture
def client(service, runs):
    app = make_app(service, None, roots=(runs["ease"].parent,))
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as found:
        yield found


@pytest.fixture
def keyed(service):
    """(client, secrets by scope)."""
    ring = KeyRing(service.events.engine)
    secrets = {scope: ring.create(scope, [scope]) for scope in ("read", "write", "admin")}
    with TestClient(make_app(service, ring), base_url="http://localhost", raise_server_exceptions=False) as found:
        yield found, secrets
