"""Vectors of items that are free vectors plus a linear map of features: gradients, and which items take part in training."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from foldin.data import Histories
from foldin.errors import ConfigError
from foldin.experiment import fit_all
from foldin.models import BCE, GBCE, FeatureVectors, FullSoftmax, SampledSoftmax, SASRecConfig, TwoTowerConfig
from foldin.models.negatives import UniformNegatives
from foldin.models.sequential._sasrec_trainer import SASRecTrainer
from foldin.testing import two_tastes
from foldin.training import Step, fit
from tests.conftest import make_log
from tests.models.cold import COLD, ITEMS, TRAIN, USERS, described, trained

SMALL = {"embedding_dim": 8, "max_length": 8, "n_layers": 1, "dropout": 0.0}
LOSSES = [FullSoftmax(), SampledSoftmax(negatives=UniformNegatives(n=30)), BCE(), GBCE(n_negatives=5)]
STEP = Step(number=0, planned=10)


def started(config):
    """A model before its first gradient step, and its training."""
    model = described(config)
    trainer = model.trainer(TRAIN)
    for phase in trainer.first:
        phase.run(TRAIN, torch.Generator())
    return model, trainer


def losses(config):
    model, trainer = started(config)
    batch = TRAIN.select(np.arange(12))
    return model, lambda: trainer.loss(batch, STEP, torch.Generator().manual_seed(3)).value


def finite_difference(parameter, at, loss, by=1e-2):
    with torch.no_grad():
        parameter[at] += by
        above = loss().item()
        parameter[at] -= 2.0 * by
        below = loss().item()
        parameter[at] += by
    return (above - below) / (2.0 * by)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda one: one.name)
def test_the_gradient_of_the_map_is_that_of_the_vectors_times_the_features(loss):
    model, value = losses(SASRecConfig(**SMALL, loss=loss, features=FeatureVectors(dropout=0.4)))
    value().backward()
    side, features = model.side, torch.from_numpy(model.described().toarray())
    kept = torch.rand(ITEMS, generator=torch.Generator().manual_seed(3)) >= 0.4  # the first draw of the step
    table = (side.free.detach() * kept.unsqueeze(1) + features @ side.map.detach()).requires_grad_()
    # The same step with the vectors as a leaf.
    side._of_step = None
    model.encoder.table = lambda: table
    generator = torch.Generator().manual_seed(3)
    torch.rand(ITEMS, generator=generator)
    leaf = SASRecTrainer(model)
    side.step = lambda generator: torch.enable_grad()
    total = leaf.loss(TRAIN.select(np.arange(12)), STEP, generator).value
    total.backward()
    assert torch.allclose(side.map.grad, features.T @ table.grad, atol=1e-6)
    assert torch.allclose(side.free.grad, kept.unsqueeze(1) * table.grad, atol=1e-6)
    assert side.map.grad.abs().max() > 1e-4
    assert not table.grad[COLD].any()  # neither in the softmax nor among the negatives


@pytest.mark.parametrize(
    "config",
    [
        SASRecConfig(**SMALL, features=FeatureVectors(dropout=0.4)),
        SASRecConfig(**SMALL, features=FeatureVectors(dropout=0.4), temperature=0.5),
        TwoTowerConfig(embedding_dim=8, features=FeatureVectors(dropout=0.4)),
        TwoTowerConfig(embedding_dim=8, hidden_dims=(6,), features=FeatureVectors(dropout=0.4), temperature=None),
    ],
    ids=["sasrec", "sasrec-normalized", "two-tower", "two-tower-deep"],
)
def test_gradients_agree_with_finite_differences(config):
    model, value = losses(config)
    value().backward()
    gradient = model.side.map.grad.clone()
    rng = np.random.default_rng(0)
    flat = gradient.abs().flatten()
    largest = torch.topk(flat, 4).indices.tolist()
    for place in [*largest, *rng.integers(0, len(flat), 3).tolist()]:
        at = divmod(place, gradient.shape[1])
        found = finite_difference(model.side.map, at, lambda: value().detach(), by=2e-3)
        assert found == pytest.approx(float(gradient[at]), abs=2e-2 * float(flat.max()))


@pytest.mark.parametrize("loss", LOSSES, ids=lambda one: one.name)
def test_items_without_events_have_the_mapped_vector_alone(loss):
    model = trained(SASRecConfig(**SMALL, epochs=2, loss=loss, features=FeatureVectors()))
    vectors = model.item_vectors()[0]
    mapped = torch.from_numpy(model.described().toarray()) @ model.side.map.detach()
    assert torch.allclose(vectors[COLD], mapped[COLD], atol=1e-6)
    assert not model.encoder.items[COLD].any()
    assert torch.allclose(vectors, model.encoder.items.detach() + mapped, atol=1e-6)
    assert torch.isfinite(model.logits(USERS)).all()


def test_a_graph_and_a_continued_reading_use_the_same_vectors():
    config = SASRecConfig(**SMALL, epochs=2, features=FeatureVectors(cold_factor=3.0), positions=None)
    model = trained(config)
    history = torch.tensor([[0, 2, 6], [4, 3, -1], [-1, -1, -1]])
    users = Histories.from_lists([[0, 2, 6], [4, 3], []], ITEMS)
    with torch.no_grad():
        assert torch.allclose(model.padded_logits(history), model.logits(users), atol=1e-5)
    some = users.select(np.array([0, 1]))
    begun = model.read(Histories.from_lists([[0, 2], [4]], ITEMS))
    later = model.extend(begun, Histories.from_lists([[6], [3]], ITEMS))
    assert later.cache is not None
    assert torch.allclose(model.next_logits(later), model.logits(some), atol=1e-5)


def test_features_and_tokens_exclude_each_other():
    with pytest.raises(ConfigError, match="features and codebook_size exclude each other"):
        SASRecConfig(features=FeatureVectors(), codebook_size=4)
    with pytest.raises(ConfigError, match="free_rows = false leaves items without vectors"):
        TwoTowerConfig(free_rows=False)


def test_training_again_from_a_stored_state_goes_on():
    config = SASRecConfig(**SMALL, epochs=1, features=FeatureVectors())
    model, other = trained(config), described(config)
    before = model.logits(USERS)
    other.load_state(model.state())
    assert torch.equal(other.logits(USERS), before)
    fit(other, two_tastes(30, ITEMS).where(~COLD[two_tastes(30, ITEMS).items]), seed=1)
    assert not torch.equal(other.logits(USERS), before)


def test_items_that_come_after_the_log_have_vectors_and_are_listed():
    log = make_log(users=40, items=20)
    halves = ["first" if int(item[1:]) < 10 else "second" for item in log.items["item"]]
    log = replace(log, items=log.items.with_columns(half=pl.Series(halves)))
    new = pl.DataFrame({"item": ["new"], "half": ["second"]})
    for config in (
        SASRecConfig(**SMALL, epochs=8, learning_rate=0.01, features=FeatureVectors()),
        TwoTowerConfig(embedding_dim=8, epochs=20, learning_rate=0.02, features=FeatureVectors()),
    ):
        run = fit_all(log.with_new_items(new), config)
        at = run.catalog.ids.index("new")
        assert run.catalog.cold.tolist() == [one == at for one in range(len(run.catalog))]
        scores = run.model.logits(Histories.from_lists([[0, 3], [12, 15, 11]], len(run.catalog)))
        assert torch.isfinite(scores).all()
        first, second = (scores.softmax(dim=1)[taste, at] for taste in (0, 1))
        assert second > 1.2 * first
        assert torch.isfinite(run.model.logits(Histories.from_lists([[at]], len(run.catalog)))).all()
