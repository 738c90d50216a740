"""Lists of 100 from a catalog of a million items: scoring every item against an index, by time, recall, memory and disk.

python benchmarks/big_lists.py                               1,000,000 items of 200 dimensions
python benchmarks/big_lists.py --items 200000 --kinds IVF2048,SQ8

The model is Mult-DAE with a made-up head: vectors are directions of topics with noise, longer for popular items, and biases
follow the logarithm of a power law, so that a softmax has the skew of a trained one. Users have taken 10 items of three topics.
For each kind of index (separated by `;`), each step is a process of its own: building it and storing it with the run; lists, by
turns exact and by the index, of one request and of batches of 64, as the service makes them; and a service's memory.

`milliseconds` are of one request, `milliseconds_of_64` of a batch. `recall` is the share of the exact list, the mean over
users other than those by whom the effort was chosen; `recall_at_…` that share where a filter leaves so much of the catalog.
`anonymous` is the largest `RssAnon` of a process that loads the run and makes lists, in MB, and `over_file` this over the
size of the model's file. `ratios` are the exact median times over those of the index.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import arguments, child, write
from grow import anonymous

from foldin.data import Catalog, Histories
from foldin.models import MultDAE, MultDAEConfig
from foldin.ranking import Eligibility, Exact, Ranker, rank, ranker_of, recall_against
from foldin.runs import Run, add_index, load_run, save_run
from foldin.serve.engine.lists import ResolvedRequest, rank_requests

K, BATCH, ROWS = 100, 64, 1 << 14
SHARES = (0.5, 0.2, 0.02)
FILES = {"index": "index.faiss", "model": "model.safetensors"}


def topics_of(items: int, topics: int) -> np.ndarray:
    """The two topics of each item."""
    return np.random.default_rng(1).integers(0, topics, (2, items))


def make(folder: Path, items: int, dim: int, topics: int) -> dict[str, float]:
    """Save a run of a model with a made-up head."""
    rng = np.random.default_rng(0)
    model = MultDAE(items, MultDAEConfig(latent_dim=dim, hidden_dims=()))
    centers = rng.standard_normal((topics, dim)).astype(np.float32)
    first, second = topics_of(items, topics)
    popularity = -np.log(50.0 + rng.permutation(items))  # in nats, up to a constant
    level = (popularity - popularity.min()) / np.ptp(popularity)
    encoder, decoder, bias = (model.tensors()[name] for name in ("encoder.0", "decoder.0", "decoder_bias.0"))
    with torch.no_grad():
        for start in range(0, items, ROWS):
            part = slice(start, min(start + ROWS, items))
            own = centers[first[part]] + 0.5 * centers[second[part]]
            own += 0.7 * rng.standard_normal(own.shape).astype(np.float32)
            own /= np.linalg.norm(own, axis=1, keepdims=True)
            encoder[part] = torch.from_numpy(1.5 * own)
            decoder[part] = torch.from_numpy(own * (1.0 + level[part, None]).astype(np.float32))
        bias.copy_(torch.from_numpy(0.5 * (popularity - popularity.mean())))
    counts = np.exp(popularity - popularity.min()).astype(np.int64)
    save_run(folder, model=model, catalog=Catalog.from_ids([str(at) for at in range(items)], counts), info={})
    return {"mb": (folder / FILES["model"]).stat().st_size / 1e6}


def users_of(count: int, items: int, topics: int, seed: int) -> Histories:
    """Histories of 10 items of three topics, and of one item that is drawn from all."""
    rng, (first, _) = np.random.default_rng(seed), topics_of(items, topics)
    order = np.argsort(first, kind="stable")
    starts = np.searchsorted(first[order], np.arange(topics + 1))
    found = []
    for _ in range(count):
        drawn = rng.choice(rng.choice(topics, 3, replace=False), 10)
        own = [int(order[rng.integers(starts[at], starts[at + 1])]) for at in drawn if starts[at] < starts[at + 1]]
        found.append(list(dict.fromkeys([*own, int(rng.integers(items))])))
    return Histories.from_lists(found, items)


def requests_of(users: Histories, ranker: Ranker) -> list[ResolvedRequest]:
    return [ResolvedRequest(tuple(users.of(at).tolist()), K, ranker=ranker) for at in range(len(users))]


def seconds(run: Run, requests: list[ResolvedRequest], size: int) -> list[float]:
    """Seconds of each batch of requests."""
    found = []
    for start in range(0, len(requests) - size + 1, size):
        begun = time.perf_counter()
        rank_requests(run.model, requests[start : start + size])
        found.append(time.perf_counter() - begun)
    return found


def recall(run: Run, ranker: Ranker, users: Histories, share: float) -> float:
    """The mean share of the exact lists where a filter leaves a share of the catalog."""
    where = np.random.default_rng(5).random(run.model.n_items) < share
    eligible = Eligibility.of(users, where=None if share == 1.0 else where)
    lists = [rank(run.model, users, K, ranker=one, eligible=eligible) for one in (ranker, Exact())]
    return float(recall_against(*lists).mean())


def built(folder: Path, kind: str, options: Any) -> dict[str, float]:
    """Build an index and store it with the run."""
    run = load_run(folder)
    users = users_of(options.users, options.items, options.topics, seed=2)
    begun = time.perf_counter()
    index = add_index(folder, run.model, run.catalog, description=kind, users=users)
    found = {"seconds_to_build": time.perf_counter() - begun, "effort": index.effort, "recall_when_built": index.recall}
    sizes = {name: (folder / file).stat().st_size / 1e6 for name, file in FILES.items()}
    return {**found, **{f"mb_of_{name}": size for name, size in sizes.items()}}


def timed(folder: Path, options: Any) -> dict[str, Any]:
    """Times of exact lists and of those by the stored index, by turns, and what the index finds."""
    run = load_run(folder)
    ranker = ranker_of("index", run.model, index=lambda: run.index)
    users = users_of(options.users, options.items, options.topics, seed=3)
    times: dict[str, dict[int, list[float]]] = {name: {1: [], BATCH: []} for name in ("exact", "index")}
    for turn in range(options.turns + 1):
        for name, by in (("exact", Exact()), ("index", ranker)):
            requests = requests_of(users, by)
            for size in (1, BATCH):
                some = requests[: options.singles] if size == 1 else requests
                found = seconds(run, some, size)
                times[name][size] += found if turn else []  # the first turn only allocates
    figures: dict[str, Any] = {}
    for name, of in times.items():
        for size, found in of.items():
            label = f"{name}_milliseconds" + ("" if size == 1 else f"_of_{size}")
            figures[label] = {f"p{at}": 1e3 * float(np.quantile(found, at / 100)) for at in (50, 99)}
    figures["recall"] = recall(run, ranker, users, 1.0)
    figures |= {f"recall_at_{share:g}": recall(run, ranker, users, share) for share in SHARES}
    return figures


def served(folder: Path, by: str, options: Any) -> dict[str, float]:
    """Memory of a process that makes lists as a service does."""
    before, run = anonymous(), load_run(folder)
    ranker = ranker_of(by, run.model, index=lambda: run.index)
    users = users_of(options.users, options.items, options.topics, seed=4)
    largest = 0.0
    for size in (1, BATCH):
        for start in range(0, len(users) - size + 1, size):
            rank_requests(run.model, requests_of(users.rows(start, start + size), ranker))
            largest = max(largest, anonymous())
    file = (folder / FILES["model"]).stat().st_size / 1e6
    return {"anonymous": largest, "before_the_run": before, "over_file": largest / file}


def main() -> None:
    options = arguments(
        __doc__,
        name="big_lists",
        folder=Path(__file__).parent,
        child="",
        of="",
        run="",
        threads=2,
        items=1_000_000,
        dim=200,
        topics=500,
        users=256,
        singles=100,
        turns=3,
        kinds="HNSW32,SQ8;IVF4096,SQ8",
        tiny={
            **{"items": 6_000, "dim": 16, "topics": 5, "users": 64, "singles": 5, "turns": 1},
            **{"kinds": "HNSW8,SQ8;IVF16,SQ8"},
        },
    )
    torch.set_num_threads(options.threads)
    if options.child:
        folder = Path(options.run)
        steps = {
            "make": lambda: make(folder, options.items, options.dim, options.topics),
            "build": lambda: built(folder, options.of, options),
            "time": lambda: timed(folder, options),
            "serve": lambda: served(folder, options.of, options),
        }
        print(json.dumps(steps[options.child]()))
        return
    same = ("threads", "items", "dim", "topics", "users", "singles", "turns")
    itself = [sys.executable, __file__, *(part for name in same for part in (f"--{name}", getattr(options, name)))]
    itself += ["--tiny"] if options.tiny else []
    figures: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        itself += ["--run", str(Path(scratch) / "run")]
        child(*itself, "--child", "make")
        figures["exact"] = child(*itself, "--child", "serve", "--of", "exact")
        for kind in options.kinds.split(";"):
            figures[kind] = child(*itself, "--child", "build", "--of", kind)
            figures[kind] |= child(*itself, "--child", "time")
            figures[kind] |= child(*itself, "--child", "serve", "--of", "index")
            print(f"{kind}: {figures[kind]}", file=sys.stderr, flush=True)
    ratios = {}
    for kind in options.kinds.split(";"):
        for size in ("", f"_of_{BATCH}"):
            exact, index = (figures[kind][f"{name}_milliseconds{size}"]["p50"] for name in ("exact", "index"))
            ratios[f"{kind}{size}"] = exact / index
    settings = {**{name: getattr(options, name) for name in same}, "k": K, "data": "synthetic"}
    write(options.json, "big_lists", settings=settings, figures=figures, ratios=ratios)


if __name__ == "__main__":
    main()
