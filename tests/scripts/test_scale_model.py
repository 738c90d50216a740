"""The formulas of `benchmarks/scale_model.py` against real files, tensors, sums over workers and products."""

import json
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch

from foldin.data import Histories, prepare
from foldin.kernels import Proposal, scored_items, softmax
from foldin.models import (
    SANSA,
    FullMultinomial,
    MultVAE,
    MultVAEConfig,
    SampledMultinomial,
    SANSAConfig,
    SmoothedNegatives,
)
from foldin.ranking import build_index
from foldin.training import fit
from foldin.training.shared_memory import SharedRows
from foldin.workers import Group

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    yield
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").parent == ROOT / "benchmarks":
            del sys.modules[name]


@pytest.fixture
def sizes():
    return import_module("scale_bytes")


@pytest.fixture
def exchange():
    return import_module("scale_exchange")


@pytest.fixture
def times():
    return import_module("scale_times")


def log_of(users: int, items: int, length: int = 6, seed: int = 0) -> Histories:
    rng = np.random.default_rng(seed)
    return Histories.from_lists([rng.choice(items, length, replace=False) for _ in range(users)], items)


def model_of(kind: str, items: int, hidden: tuple[int, ...] = (), batch_size: int = 8, **settings) -> MultVAE:
    loss = FullMultinomial()
    if kind != "full":
        precision = "bfloat16" if kind == "bfloat16" else "float32"
        loss = SampledMultinomial(negatives=SmoothedNegatives(n=16), precision=precision)
    config = MultVAEConfig(loss=loss, hidden_dims=hidden, latent_dim=5, batch_size=batch_size, epochs=1, **settings)
    return MultVAE(items, config, seed=0)


@pytest.mark.parametrize("beside", [("times",), ("times", "values"), ("times", "kinds")])
def test_files_of_a_log(sizes, beside, tmp_path):
    rng, n = np.random.default_rng(0), 400
    columns = {
        "user": rng.integers(0, 30, n),
        "item": np.arange(n) % 50,
        "time": 1_600_000_000 + np.arange(n),
    }
    columns |= {"rating": rng.integers(1, 6, n).astype(float)} if "values" in beside else {}
    columns |= {"event": np.array(["view", "buy"])[rng.integers(0, 2, n)]} if "kinds" in beside else {}
    pl.DataFrame(columns).write_parquet(tmp_path / "log.parquet")
    between: list[int] = []

    def watch(what: str, done: int, total: int) -> None:
        if what == "events by user" and done == total:
            files = (tmp_path / "shards.partial").glob("chunk-*/*.npy")
            between.append(sum(np.load(one).nbytes for one in files))

    log = prepare(tmp_path / "log.parquet", tmp_path / "shards", chunk_rows=150, progress=watch)
    expected = sizes.shard_bytes(log.histories.n_events, len(log.histories), beside)
    assert {one.stem: one.stat().st_size for one in (tmp_path / "shards").glob("*.npy")} == expected
    assert between == [sizes.preparing_bytes(n, beside)]


@pytest.mark.parametrize("kind", ["full", "sampled", "bfloat16"])
@pytest.mark.parametrize("hidden", [(), (7,)])
def test_tensors_of_a_training(sizes, kind, hidden):
    """After a step, weights, gradients and moments are as many bytes as the formulas say, but for counts of steps."""
    model, log = model_of(kind, 40, hidden), log_of(12, 40)
    (phase,) = model.trainer(log).phases
    optimizer = phase.optimizer(phase.parameters)
    step = import_module("foldin.training").Step(number=0, planned=1)
    phase.loss(log, step, torch.Generator().manual_seed(0)).value.backward()
    optimizer.step()
    parameters = list(phase.parameters.values())
    size = lambda tensors: sum(one.numel() * one.element_size() for one in tensors)
    between = ((7, 10), (5, 7)) if hidden else ()
    tables = sizes.Tables(items=40, read=7 if hidden else 10, scored=7 if hidden else 5, between=between, kind=kind)
    states = [one for state in optimizer.state.values() for one in state.values() if one.dim()]
    dense = size(one.grad for one in parameters if not one.grad.is_sparse)
    assert tables.parameters == sum(one.numel() for one in parameters)
    expected = tables.bytes()
    assert size(parameters) == expected["weights"] == tables.file()
    assert dense == expected["gradients"]
    assert size(states) == expected["moments"]


class Recording(Group):
    """The first of two workers, whose sums are only counted."""

    def __init__(self) -> None:
        super().__init__(0, 2)
        self.summed: list[int] = []

    def sum_(self, *values) -> None:
        self.summed += [
            one.numel() * one.element_size() if isinstance(one, torch.Tensor) else one.nbytes for one in values
        ]

    def same_(self, *values) -> None: ...


def test_bytes_of_a_step_of_workers(sizes, exchange, monkeypatch):
    monkeypatch.setattr(SharedRows, "among", lambda *_: None)
    group = Recording()
    fit(model_of("full", 40, (7,)), log_of(24, 40), epochs=1, group=group)
    tables = sizes.Tables(items=40, read=7, scored=7, between=((7, 10), (5, 7)))
    assert [one for one in group.summed if one > 8] == [exchange.dense_exchange(tables)] * 3


def test_a_ring_by_its_rounds(exchange):
    """Each worker sends a part in every round: k − 1 rounds of sums, and as many of results."""
    for workers in (2, 3, 8):
        parts = [120.0 / workers] * workers
        sent = sum(parts[(0 - at) % workers] for at in range(workers - 1)) * 2
        assert exchange.ring_bytes(120.0, workers) == pytest.approx(sent)


def test_what_a_machine_receives(sizes, exchange):
    tables = sizes.Tables(items=100, read=4, scored=2, kind="sampled")
    shape = sizes.Shape(users=3, events=9, kept=5, read_rows=5, scored_rows=10)
    whole = sizes.Shape(users=12, events=36, kept=20, read_rows=15, scored_rows=30)
    values = 15 * 4 * 4 + 30 * (2 * 4 + 4)
    assert exchange.row_exchange(tables, shape, whole, 4) == pytest.approx(
        3 * 8 * (5 + 2 * 30) + 6 / 4 * (values + 4 * 4)
    )
    rows = 5 * (4 * 4 + 8) + 10 * (2 * 4 + 4 + 8)
    assert exchange.sharded_exchange(tables, shape, 4) == pytest.approx(2 * rows * 3 / 4 + 6 * 4 * 4 / 4)


def test_items_that_a_step_meets(sizes):
    """By draws from the log's distribution and the library's own negatives."""
    items, users, drawn, negatives = 300, 20, 5, 32
    shares, rng, generator = sizes.popularity(items), np.random.default_rng(0), torch.Generator().manual_seed(0)
    proposal = Proposal(torch.from_numpy(shares).pow(0.75))
    scored, read = [], []
    for _ in range(300):
        batch = torch.from_numpy(np.unique(rng.choice(items, users * drawn, p=shares)))
        scored.append(len(scored_items(batch, *proposal.draw(negatives, generator)).rows))
        kept = rng.choice(items, users * drawn, p=shares)[rng.random(users * drawn) < 0.5]
        read.append(len(np.unique(kept)))
    tables = sizes.Tables(items=items, read=4, scored=2, kind="sampled")
    found = sizes.shape_of(tables, shares, users=users, drawn=drawn, events=drawn, negatives=negatives)
    assert found.scored_rows == pytest.approx(np.mean(scored), rel=0.02)
    assert found.read_rows == pytest.approx(np.mean(read), rel=0.02)


def test_a_user_of_the_synthetic_log(sizes):
    log = import_module("big_catalog").log_of(500, 300_000)
    assert sizes.mean_distinct(sizes.popularity(500)) == pytest.approx(log.n_events / len(log), rel=0.03)


@pytest.mark.parametrize("kind", ["HNSW8,SQ8", "IVF16,SQ8"])
def test_bytes_of_an_index(sizes, kind, tmp_path):
    pytest.importorskip("faiss")
    build_index(model_of("full", 3000), kind).write(tmp_path / "index")
    found = sizes.hnsw_bytes(3000, 5, 8) if kind.startswith("HNSW") else sizes.inverted_file_bytes(3000, 5, 16)
    assert (tmp_path / "index").stat().st_size == pytest.approx(found, rel=0.02)


def test_numbers_of_sansa(sizes):
    model = SANSA(60, SANSAConfig(n_neighbors=4))
    stored = sum(one.numel() * one.element_size() for one in model.tensors().values())
    assert sizes.sansa_bytes(60, 4, pairs=1000)["factor"] == stored
    log = log_of(30, 60)
    assert sizes.sansa_bytes(60, 4, pairs=30 * 36)["training"] >= model.training_bytes(log)


IDLE = {
    "softmax": 1e30,
    "passes": 1e30,
    "memory": 1e30,
    "fresh": 1e30,
    "gathered": 1e30,
    "scattered": 1e30,
    "updated": 1e30,
    "keys": 1e30,
}
IDLE |= {"best": 1e30, "sparse": 1e30, "inverse": 1e30, "step": 0.0, "event": 0.0, "list": 0.0, "scored": {1: 1e30}}


@pytest.mark.parametrize("kind", ["full", "sampled"])
def test_products_of_a_step(sizes, times, kind, monkeypatch):
    """Where only products take time, a step takes as many operations as the loss's products have."""
    counted: list[float] = []
    product = softmax.matmul_into

    def counting(out, a, b):
        counted.append(2.0 * a.shape[0] * a.shape[1] * b.shape[1])
        return product(out, a, b)

    monkeypatch.setattr(softmax, "matmul_into", counting)
    model, log = model_of(kind, 40, dropout=0.0), log_of(12, 40)
    scored = []
    if kind == "sampled":
        draw = Proposal.draw
        monkeypatch.setattr(Proposal, "draw", lambda *about: (scored.append(draw(*about)), scored[-1])[1])
    (phase,) = model.trainer(log).phases
    step = import_module("foldin.training").Step(number=0, planned=1)
    phase.loss(log, step, torch.Generator().manual_seed(0)).value.backward()
    rows = 40 if kind == "full" else len(np.unique(np.concatenate((log.items, scored[0][0].numpy()))))
    rates = times.Rates(products={5: 1.0}, **IDLE)
    shape = sizes.Shape(users=12, events=72, kept=72, read_rows=40, scored_rows=rows)
    tables = sizes.Tables(items=40, read=10, scored=5, kind=kind)
    assert times.total(times.step_seconds(rates, tables, shape)) == pytest.approx(sum(counted))


def test_rates_act_where_they_should(sizes, exchange, times):
    tables = sizes.Tables(items=1000, read=10, scored=5)
    shape = sizes.Shape(users=12, events=72, kept=36, read_rows=30, scored_rows=1000)
    idle = times.Rates(products={5: 1e30, 500: 1.0}, **IDLE)
    memory = times.Rates(products={5: 1e30}, **{**IDLE, "memory": 1.0})
    assert times.total(times.step_seconds(idle, tables, shape)) < 1e-9
    # Seven arrays of the parameters, and the scores once more.
    assert times.total(times.step_seconds(memory, tables, shape)) == pytest.approx(28 * tables.parameters + 4 * 12_000)
    assert times.exchange_seconds(800.0, 4, link=100.0) == pytest.approx(12.0)
    linked = times.worker_step(idle, tables, shape, 2, link=10.0)
    assert linked["exchange"] == pytest.approx(exchange.dense_exchange(tables) / 10.0)
    # Each of two copies half of its numbers in three passes, and sums the other half in five.
    shared = times.worker_step(memory, tables, shape, 2)["exchange"]
    assert shared == pytest.approx(4.0 * exchange.dense_exchange(tables))
    assert times.shared_sum(memory, 90.0, 3) == pytest.approx(60.0 * 3 + 30.0 * 7)
    assert times.ease_seconds(times.Rates(products={5: 1.0}, **{**IDLE, "inverse": 2.0}), 10, 7.0)["inverse"] == 500.0


def test_rows_and_new_memory(times):
    """A bag gathers a row once however many events it has; only large arrays are new memory in each step."""
    gathered = times.Rates(products={5: 1e30}, **{**IDLE, "gathered": 1.0})
    assert times.bag_seconds(gathered, 36.0, 30.0, 10) == pytest.approx(1200.0)
    cached = times.Rates(products={5: 1e30}, **{**IDLE, "passes": 1.0})
    assert times.bag_seconds(cached, 36.0, 30.0, 10) == pytest.approx(720.0)
    fresh = times.Rates(products={5: 1e30}, **{**IDLE, "fresh": 1.0})
    assert times.new_seconds(fresh, times.REUSED) < 1e-9
    assert times.new_seconds(fresh, times.REUSED + 1.0) == pytest.approx(times.REUSED + 1.0)
    # Weights and two moments of a row are gathered and scattered back.
    updated = times.Rates(products={5: 1e30}, **{**IDLE, "updated": 1.0})
    assert times.lazy_adam_seconds(updated, 30.0, 10, "sampled") == pytest.approx(2 * 12.0 * 300)
    assert times.lazy_adam_seconds(updated, 30.0, 10, "bfloat16") == pytest.approx(2 * 4.0 * 300)


def test_a_list_of_one_reads_the_table(times):
    """A block of a single user waits for memory: the wall of exact lists over millions of items."""
    rates = times.Rates(products={8: 1e30}, **{**IDLE, "scored": {1: 4.0, 64: 8.0}})
    one, many = (times.list_seconds(rates, 1000, 8, users=users)["products"] for users in (1, 64))
    assert one == pytest.approx(8000.0)
    assert many == pytest.approx(4000.0 / 64)
    for items in (10, 100_000):
        assert import_module("scale_bytes").blocks_of_users(items) == model_of("full", items).block()
    assert import_module("scale_bytes").blocks_of_users(10**8) == 1


def test_absent_and_foreign_results(times, tmp_path):
    kept = import_module("scale_kept")
    rates = times.Rates(products={100: 1e9}, **{**IDLE, "step": 1.0})
    assert kept.kept_points(tmp_path, rates, rates, 0.0) == {}
    settings = {"models": {"multvae": {"hidden_dims": [6], "latent_dim": 2, "batch_size": 10}}, "items": 50}
    settings |= {"users": 100, "events": 900}
    found = {"exchanged_mb": {"multvae": 4e-6 * (2 * 50 * 6 + 50 + 6 + 6 * 4 + 4 + 2 * 6 + 6)}}
    found |= {"seconds_per_epoch": {"multvae": {"threads": 10.0, "processes": 20.0}}}
    threads = torch.get_num_threads()
    result = {"machine": kept.machine(), "threads": threads, "settings": settings, "figures": found}
    (tmp_path / "workers.json").write_text(json.dumps(result), encoding="utf-8")
    points = kept.kept_points(tmp_path, rates, rates, 0.0)
    exchanged = points["workers: multvae, exchanged in a step"]
    assert exchanged.predicted == pytest.approx(exchanged.measured)
    assert points["workers: multvae, an epoch of one process"].predicted == pytest.approx(10.0, rel=1e-3)
    for other in ({"machine": "another"}, {"threads": threads + 1}):
        (tmp_path / "workers.json").write_text(json.dumps({**result, **other}), encoding="utf-8")
        assert list(kept.kept_points(tmp_path, rates, rates, 0.0)) == ["workers: multvae, exchanged in a step"]


def test_a_larger_case(times):
    """Dense exchanges grow with the catalog, those of rows with the machines, sharded ones with neither."""
    large = import_module("scale_large").large_case
    rates = times.Rates(products={5: 1e9}, **{**IDLE, "memory": 1e9})
    case = lambda items, machines: large(
        rates, events=1e6, items=items, machines=machines, dim=5, negatives=64, id_bytes=100.0, prepared=1e-6
    )["exchange"]
    small, wide, many = case(2_000, 4), case(8_000, 4), case(2_000, 16)
    assert wide["dense"]["bytes"] == pytest.approx(4 * small["dense"]["bytes"], rel=0.01)
    assert small["rows"]["bytes"] < many["rows"]["bytes"] < 5 * small["rows"]["bytes"]
    assert many["several"]["16"] == {"step": many["rows"]["step"], "bytes": many["rows"]["bytes"]}
    assert many["sharded"]["step"] < many["several"]["2"]["step"] < many["several"]["16"]["step"]
    assert many["sharded"]["bytes"] < 1.5 * small["sharded"]["bytes"]
    assert small["rows"]["seconds"]["10"] == pytest.approx(small["rows"]["bytes"] / 1.25e9)


def test_blocks_of_the_page(sizes, times, monkeypatch, tmp_path):
    """Empty without a result; with one, its numbers in words."""
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    tables = import_module("tables.scale")
    blocks = (tables.scale_units, tables.scale_points, tables.scale_large, tables.scale_walls)
    monkeypatch.setattr(tables, "KEPT", tmp_path / "absent.json")
    assert [block() for block in blocks] == ["", "", "", ""]
    rates = times.Rates(products={5: 1e9}, **{**IDLE, "memory": 1e9})
    settings = {"items": 2000, "machines": 4, "dim": 5, "negatives": 64, "id_bytes": 100.0, "prepared": 1e-6}
    large = import_module("scale_large").large_case(rates, events=1e6, **settings)
    units = import_module("scale_model").units(SimpleNamespace(dim=5))
    points = {"a": (1.0, 1.2, "s", "rates"), "b": (2e9, 1e9, "bytes", "formula")}
    kept = import_module("scale_model").kept_in_words(
        {at: import_module("scale_kept").Point(*one) for at, one in points.items()}
    )
    result = {"machine": "one", "threads": 1, "settings": {"dim": 5}}
    result["figures"] = {"units": units, "points": kept, "kept": {}, "large": large}
    result["figures"]["bytes_of_an_id"] = {"item": 250.0, "user, on disk": 0.5}
    (tmp_path / "kept.json").write_text(json.dumps(result), encoding="utf-8")
    monkeypatch.setattr(tables, "KEPT", tmp_path / "kept.json")
    told = [block() for block in blocks]
    assert "| an event with its time | 12 in the shards, 16 while they are made |  |" in told[0]
    assert "| an item, `sampled` | 64 in a run's file | 204: 64 + 0 + 140 |" in told[0]
    assert "1 of 2 points are predicted within 25 %" in told[1]
    assert "| b | 2.0 GB | 1.0 GB | 0.50 | formula |" in told[1]
    assert "10⁶ events of 2 · 10⁴ users over 2 · 10³ items, 4 machines" in told[2]
    assert "every machine scores and updates the items of the whole batch" in told[3]
    assert "; 4 machines" in told[3]
    for name in [name for name in sys.modules if name.split(".")[0] == "tables"]:
        del sys.modules[name]
