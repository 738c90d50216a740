"""Every model, every ranker, every way in: one history gives one list.

The ways are Python (all users at once, and alone), the command line (a history, and a file), HTTP (a history, a user whose events
are kept, and a batch), evaluation, and ONNX where a model is exported. Lists are in the same order unless scores are within 1e-4.
"""

import json
import os

import numpy as np
import polars as pl
import pytest
from fastapi.testclient import TestClient

from foldin.cli import main
from foldin.data import Catalog, HeldOut, Histories, resolve_history
from foldin.evaluation import evaluate
from foldin.models import MODELS, DotProduct, ItemTokens, OnnxGraph, PosteriorSampler, capability, user_key
from foldin.ranking import build_index, rank, ranker_of
from foldin.runs import export_onnx, load_run, save_index, save_run
from foldin.serve import Event, EventStore, Limits, Registry, Service, Telemetry, connect, make_app
from tests.small import ITEMS, trained

K, SEED, NEAR = 6, 11, 1e-4
START = 1_600_000_000
rng = np.random.default_rng(0)
LONG = [f"i{at}" for at in rng.integers(0, 12, 5000)]
LONG[100:200] = [f"unknown {at}" for at in range(100)]
# External ids, oldest first.
HISTORIES = {
    "repeats": ["i7", "i11", "i3", "i7", "i5", "i11"],
    "none": [],
    "one": ["i4"],
    "unknown": ["nobody's", "i2", "i6", "another"],
    "long": LONG,
}
RANKERS = {"exact": None, "gumbel:2": None, "sample": PosteriorSampler, "beam:50": ItemTokens, "index:Flat": DotProduct}
RANKERS |= {"dpp:0.5": DotProduct, "index": DotProduct}
DAILY = ("lda", "multvae", "sasrec", "semantic", "product")  # by all rankers in every run; the others by the exact one
HTTP = {"gumbel:2": {"explore": "temperature", "temperature": 2}, "sample": {"explore": "thompson", "draws": 5}}


@pytest.fixture(scope="module", params=MODELS)
def run(request, tmp_path_factory):
    model = trained(request.param, **({"epochs": 5} if "epochs" in MODELS[request.param].__dataclass_fields__ else {}))
    table = pl.DataFrame({"item": [f"i{at}" for at in range(ITEMS)], "count": [1] * ITEMS})
    folder = tmp_path_factory.mktemp("conformance") / "run"
    save_run(folder, model=model, catalog=Catalog(table), info={})
    if capability(model, DotProduct):
        save_index(folder, build_index(model, "Flat"))
    return folder


def possible(model, ranker) -> bool:
    needs = RANKERS[ranker]
    return (needs is None or isinstance(model, needs)) and (model.has_likelihood or not ranker.startswith("gumbel"))


@pytest.fixture(scope="module", params=RANKERS)
def case(request, run):
    """(folder of the run, run, name of the ranker)."""
    loaded = load_run(run)
    if not possible(loaded.model, request.param):
        pytest.skip(f"{loaded.name} cannot be ranked by {request.param}")
    if request.param != "exact" and loaded.name not in DAILY and os.environ.get("FOLDIN_TESTS") != "all":
        pytest.skip("this model by all rankers: `make test-slow`")
    return run, loaded, request.param


@pytest.fixture(scope="module")
def serving(run, tmp_path_factory):
    """(client, service, name of the run in service by ranker); the service has the run once for each ranker."""
    names = {ranker: f"by-{at}" for at, ranker in enumerate(RANKERS) if possible(load_run(run).model, ranker)}
    registry = Registry(rankers={name: ranker for ranker, name in names.items() if ranker not in HTTP})
    for name in names.values():
        registry.deploy(run, name)
    engine = connect(f"sqlite:///{tmp_path_factory.mktemp('served') / 'events.db'}")
    service = Service(registry, EventStore(engine), Limits(), Telemetry())
    with TestClient(make_app(service, None), base_url="http://localhost") as client:
        yield client, service, names
    registry.close()
    engine.dispose()


def in_indices(loaded, *names) -> Histories:
    kept = [resolve_history(loaded.catalog, HISTORIES[name]).items for name in names]
    return Histories.from_lists([list(one) for one in kept], ITEMS)


def alike(one, other) -> bool:
    """Lists of (item, score): the same order, unless scores are within 1e-4."""
    if len(one) != len(other):
        return False
    scores = np.array([[a, b] for (_, a), (_, b) in zip(one, other, strict=True)]).reshape(-1, 2)
    if not np.allclose(scores[:, 0], scores[:, 1], atol=NEAR):
        return False
    moved = [place for place, ((a, _), (b, _)) in enumerate(zip(one, other, strict=True)) if a != b]
    return all(
        any(abs(scores[place, 0] - near) < NEAR for at, near in enumerate(scores[:, 1]) if at != place)
        or place == len(one) - 1
        for place in moved
    )


def entries(hits) -> list[tuple[str, float]]:
    return [
        (hit["item"], float(np.log(hit["probability"])) if hit.get("probability") is not None else hit["score"])
        for hit in hits
    ]


def by_python(loaded, ranker, key=None) -> dict[str, list[tuple[str, float]]]:
    histories = in_indices(loaded, *HISTORIES)
    keys = None if key is None else [key(name) for name in HISTORIES]
    by = ranker_of(ranker, loaded.model, seed=SEED, draws=5, index=lambda: loaded.index)
    found = rank(loaded.model, histories, K, ranker=by, keys=keys)
    return {
        name: [
            (loaded.catalog.ids[item], float(score))
            for item, score in zip(found.items[at], found.scores[at], strict=True)
            if item >= 0
        ]
        for at, name in enumerate(HISTORIES)
    }


def call(capsys, *arguments) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main([str(one) for one in arguments])
    printed = capsys.readouterr()
    assert not stop.value.code, printed.err
    return printed.out


def test_alone_as_among_others(case):
    _, loaded, ranker = case
    together = by_python(loaded, ranker)
    by = ranker_of(ranker, loaded.model, seed=SEED, draws=5, index=lambda: loaded.index)
    for name, taken in HISTORIES.items():
        alone = rank(loaded.model, in_indices(loaded, name), K, ranker=by).row(0)
        ids = [loaded.catalog.ids[item] for item in alone.items[0]]
        assert alike(together[name], list(zip(ids, alone.scores[0].tolist(), strict=True))), name
        assert not set(ids) & set(taken)


def test_on_the_command_line(case, capsys, tmp_path):
    folder, loaded, ranker = case
    how = ("--ranker", ranker, "--seed", SEED, "--draws", 5, "-k", K, "--device", "cpu")
    expected = by_python(loaded, ranker)
    for name in ("repeats", "none", "one"):
        history = [("--history", ",".join(HISTORIES[name]))] if HISTORIES[name] else []
        told = json.loads(call(capsys, "recommend", folder, *(part for one in history for part in one), *how, "--json"))
        assert alike(entries(told["items"]), expected[name]), name
    rows = [(name, item, START + at) for name, items in HISTORIES.items() for at, item in enumerate(items)]
    # Somebody of whom nothing is kept has no row in a log.
    pl.DataFrame(rows, schema=["user", "item", "timestamp"], orient="row").write_csv(tmp_path / "users.csv")
    target = tmp_path / "lists.ndjson"
    call(capsys, "recommend", folder, "--users", tmp_path / "users.csv", "--out", target, *how)
    found, expected = pl.read_ndjson(target), by_python(loaded, ranker, user_key)
    for name, taken in HISTORIES.items():
        if taken:
            assert alike(entries(found.filter(user=name).to_dicts()), expected[name]), name


def test_over_http(case, serving):
    _, loaded, ranker = case
    client, service, names = serving
    more = {"model": names[ranker], "k": K, "seed": SEED, **HTTP.get(ranker, {})}
    expected = by_python(loaded, ranker)
    asked = {name: {"history": items, **more} for name, items in HISTORIES.items() if name != "long"}
    for name, question in asked.items():
        answer = client.post("/v1/recommendations", json=question)
        assert answer.status_code == 200, answer.text
        assert alike(entries(answer.json()["items"]), expected[name]), name
    answer = client.post("/v1/recommendations:batch", json={"requests": list(asked.values())})
    for name, one in zip(asked, answer.json()["answers"], strict=True):
        assert alike(entries(one["items"]), expected[name]), name
    expected = by_python(loaded, ranker, user_key)
    for name, items in HISTORIES.items():
        service.events.append([Event(name, item, START + at) for at, item in enumerate(items)])
        answer = client.post("/v1/recommendations", json={"user": name, **more})
        assert alike(entries(answer.json()["items"]), expected[name]), name


def test_what_is_evaluated_is_what_is_listed(case):
    _, loaded, ranker = case
    names = list(HISTORIES)
    wanted = Histories.from_lists([[13], [0, 5], [6, 8], [4], [12, 19]], ITEMS)
    held = HeldOut(fold_in=in_indices(loaded, *names), targets=wanted, users=pl.Series(names))
    by = ranker_of(ranker, loaded.model, seed=SEED, draws=5, index=lambda: loaded.index)
    found = evaluate(loaded.model, held, metrics=(f"hit_rate@{K}",), ranker=by, likelihood=False)
    lists = by_python(loaded, ranker, user_key)
    for user, name in enumerate(names):
        targets = {loaded.catalog.ids[at] for at in wanted.of(user)}
        hit = bool(targets & {item for item, _ in lists[name]})
        assert found.values(f"hit_rate@{K}")[user] == hit, name


def test_in_another_runtime(run, tmp_path):
    _in_another_runtime(load_run(run), tmp_path, often=True)


@pytest.mark.long
def test_in_another_runtime_too(run, tmp_path):
    _in_another_runtime(load_run(run), tmp_path, often=False)


def _in_another_runtime(loaded, tmp_path, *, often):
    if not isinstance(loaded.model, OnnxGraph):
        pytest.skip(f"{loaded.name} is not exported")
    if often != (loaded.name in ("ease", "multdae")):
        pytest.skip("the other test has it")
    onnxruntime = pytest.importorskip("onnxruntime")
    export_onnx(loaded.model, loaded.catalog, tmp_path / "lists.onnx", k=K)
    session = onnxruntime.InferenceSession(tmp_path / "lists.onnx")
    histories, expected = in_indices(loaded, *HISTORIES), by_python(loaded, "exact")
    padded = np.full((len(histories), int(histories.lengths.max())), -1, dtype=np.int64)
    for user in range(len(histories)):
        padded[user, : histories.lengths[user]] = histories.of(user)
    items, scores = session.run(None, {"history": padded})
    for user, name in enumerate(HISTORIES):
        kept = items[user] >= 0
        ids = [loaded.catalog.ids[at] for at in items[user][kept]]
        assert alike(list(zip(ids, scores[user][kept].tolist(), strict=True)), expected[name]), name
