"""The ranker of a run in service: the stored index is used, and what is wrong with it stops no list."""

import json
import logging

import numpy as np
import pytest

from foldin.data import Catalog, Histories
from foldin.models import SASRec, SASRecConfig
from foldin.ranking import Approximate, Exact, approximate, build_index, rank
from foldin.runs import save_index, save_run
from foldin.serve import Registry
from foldin.serve.engine.lists import ResolvedRequest

ITEMS = 300
pytest.importorskip("faiss")


@pytest.fixture
def folder(tmp_path):
    model = SASRec(ITEMS, SASRecConfig(embedding_dim=8, max_length=5), seed=0)
    save_run(tmp_path / "shop", model=model, catalog=Catalog.from_ids([str(at) for at in range(ITEMS)]), info={})
    save_index(tmp_path / "shop", build_index(model, "Flat"))
    return tmp_path / "shop"


@pytest.fixture
def registry():
    found = Registry(rankers={"": "index"})
    yield found
    found.close()


def listed(deployment) -> list[int]:
    mask = np.arange(ITEMS) % 2 == 0
    request = ResolvedRequest((1, 2, 3), 6, ranker=deployment.ranker, barred=mask)
    return deployment.batcher.submit(request).result(10).items[0].tolist()


def exact(deployment) -> list[int]:
    users = Histories.from_lists([[1, 2, 3]], ITEMS)
    scores = deployment.run.model.logits(users)[0].numpy().copy()
    scores[np.arange(ITEMS) % 2 == 0] = scores[[1, 3]] = -np.inf
    return np.argsort(-scores, kind="stable")[:6].tolist()


def test_the_stored_index_serves_and_nothing_is_built(folder, registry, monkeypatch):
    monkeypatch.setattr(approximate, "build_index", lambda *_, **__: pytest.fail("the index was built again"))
    deployment = registry.deploy(folder)
    assert isinstance(deployment.ranker, Approximate)
    assert deployment.ranked_by == "index"
    assert listed(deployment) == exact(deployment)


def test_a_damaged_index_is_logged_and_lists_are_exact(folder, registry, caplog):
    (folder / "index.faiss").write_bytes(b"cut short")
    with caplog.at_level(logging.WARNING, "foldin.serve"):
        deployment = registry.deploy(folder)
    (line,) = (json.loads(record.message) for record in caplog.records)
    assert line["index not used"] == "shop"
    assert "index.faiss: damaged" in line["error"]
    assert (deployment.ranker, deployment.ranked_by) == (Exact(), "exact")
    assert listed(deployment) == exact(deployment)
    assert len(rank(deployment.run.model, Histories.from_lists([[1]], ITEMS), 3)) == 1
