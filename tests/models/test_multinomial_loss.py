"""Models trained by a sample of the catalog: against the full softmax, resumed, and in memory of a step."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from foldin.data import Histories
from foldin.models import (
    MODELS,
    FullMultinomial,
    LatentDiffRec,
    MultVAE,
    MultVAEConfig,
    Recommender,
    RecVAE,
    SampledMultinomial,
    SmoothedNegatives,
)
from foldin.testing import two_tastes
from foldin.training import GradientPhase, Step, Trainer, fit
from tests.small import SETTINGS

ITEMS = 200
NAMES = ("multdae", "multvae", "recvae", "l-diffrec")
# As many draws as items, all of one share: every item is drawn once.
ALL = SampledMultinomial(negatives=SmoothedNegatives(n=ITEMS, power=0.0))
BATCH = Histories.from_lists([[0, 3, 4], [5], [1, 199, 3]], ITEMS)


def model_of(name: str, loss: Any, n_items: int = ITEMS, **settings: Any) -> Recommender:
    config = MODELS[name]().with_settings({**SETTINGS[name], "loss": loss, **settings})
    model: Recommender = config.model_class(n_items, config, seed=5)
    return model


def begun(model: Recommender, batch: Histories) -> Trainer:
    """The trainer, with what its first passes would learn."""
    trainer = model.trainer(batch)
    if isinstance(model, LatentDiffRec):
        model.own[::2, 1:] = 0.0
    if isinstance(model, RecVAE):
        trainer.fill_cache(batch, torch.Generator())
    return trainer


def first_step(model: Recommender, batch: Histories) -> tuple[float, dict[str, torch.Tensor]]:
    """(loss, gradients of the parameters) of the first gradient phase on a batch."""
    phase = next(one for one in begun(model, batch).phases if isinstance(one, GradientPhase))
    step = Step(number=5, planned=10, users=np.arange(len(batch)))
    loss = phase.loss(batch, step, torch.Generator().manual_seed(2))
    loss.value.backward()
    found = {name: one.grad for name, one in phase.parameters.items() if one.grad is not None}
    return loss.value.item(), {n: g.to_dense() if g.is_sparse else g for n, g in found.items()}


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_of_all_items_gives_loss_and_gradients_of_the_full_softmax(name):
    at_once = {"alternation": None} if name == "recvae" else {}
    value, gradients = first_step(model_of(name, FullMultinomial(), **at_once), BATCH)
    found, others = first_step(model_of(name, ALL, **at_once), BATCH)
    assert found == pytest.approx(value, rel=1e-5)
    assert gradients.keys() == others.keys()
    for one in gradients:
        assert torch.allclose(gradients[one], others[one], atol=1e-5), one


@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_items_are_of_the_scored_ones_alone(name):
    model = model_of(name, SampledMultinomial(negatives=SmoothedNegatives(n=10)))
    for phase in begun(model, BATCH).phases:
        if isinstance(phase, GradientPhase):
            for tensor in phase.parameters.values():
                tensor.grad = None
            loss = phase.loss(BATCH, Step(number=0, planned=1, users=np.arange(3)), torch.Generator().manual_seed(2))
            loss.value.backward()
            for name_of, one in phase.parameters.items():
                if len(one) == ITEMS:
                    assert one.grad is not None, name_of
                    assert one.grad.is_sparse, name_of
                    assert one.grad.coalesce().indices().shape[1] <= 6 + 10


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        ("multvae", "float32"),
        ("multvae", "bfloat16"),
        *(pytest.param(n, p, marks=pytest.mark.long) for n in NAMES if n != "multvae" for p in ("float32", "bfloat16")),
    ],
)
def test_a_run_stopped_and_resumed_is_bit_equal(name, precision, tmp_path):
    train = two_tastes(40, 20)
    loss = SampledMultinomial(negatives=SmoothedNegatives(n=6), precision=precision)

    def model(seed: int = 5) -> Recommender:
        config = MODELS[name]().with_settings({**SETTINGS[name], "loss": loss, "epochs": 4})
        made: Recommender = config.model_class(20, config, seed=seed)
        return made

    whole = model()
    expected = fit(whole, train)
    fit(model(), train, folder=tmp_path, until=lambda record: record.epoch == 2)
    resumed = model(seed=6)
    found = fit(resumed, train, folder=tmp_path, resume=True)
    assert [r.terms for r in found.records] == [r.terms for r in expected.records]
    assert all(torch.equal(one, resumed.state()[key]) for key, one in whole.state().items())


class Largest(TorchDispatchMode):
    """Elements of the largest new tensor that an operation makes."""

    def __init__(self, known: set[int]) -> None:
        super().__init__()
        self.known, self.largest = known, 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = function(*args, **(kwargs or {}))
        for one in found if isinstance(found, tuple | list) else (found,):
            if isinstance(one, torch.Tensor) and one.layout == torch.strided and one.data_ptr() not in self.known:
                self.largest = max(self.largest, one.untyped_storage().nbytes() // one.element_size())
        return found


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_step_makes_no_tensor_of_the_size_of_the_catalog(name, precision):
    n_items = 30_000
    loss = SampledMultinomial(negatives=SmoothedNegatives(n=10), precision=precision)
    model = model_of(name, loss, n_items)
    train = Histories.from_lists([[0, 3, 4], [5], [1, 299, 3]], n_items)
    for phase in (one for one in begun(model, train).phases if isinstance(one, GradientPhase)):
        for tensor in phase.parameters.values():
            tensor.requires_grad_(True)
        optimizer = phase.optimizer(phase.parameters)

        def step(phase: Any = phase, optimizer: Any = optimizer) -> None:
            optimizer.zero_grad(set_to_none=True)
            of = Step(number=0, planned=9, users=np.arange(3))
            phase.loss(train, of, torch.Generator().manual_seed(2)).value.backward()
            optimizer.step()

        step()  # makes the moments, which stay
        moments = [one for state in optimizer.state.values() for one in state.values()]
        known = {one.data_ptr() for one in (*model.tensors().values(), *moments) if isinstance(one, torch.Tensor)}
        with Largest(known) as watch:
            step()
        assert 0 < watch.largest < n_items


def test_vectors_in_bfloat16_give_the_scores_of_their_float32_copies():
    low = model_of("multvae", SampledMultinomial(precision="bfloat16"))
    plain = MultVAE(ITEMS, MultVAEConfig().with_settings(SETTINGS["multvae"]), seed=5)
    plain.load_state({name: one.float() for name, one in low.state().items()})
    assert low.state()["encoder.0"].dtype == torch.bfloat16
    assert torch.allclose(low.logits(BATCH), plain.logits(BATCH), atol=1e-5)
    assert torch.allclose(low.item_vectors()[0], plain.item_vectors()[0])
    history = torch.tensor([[0, 3, 4], [5, -1, -1], [1, 199, 3]])
    assert torch.allclose(low.padded_logits(history), plain.logits(BATCH), atol=1e-5)
    z = torch.ones(3, plain.config.latent_dim)
    assert torch.allclose(low.differentiable_log_likelihood(z, BATCH), plain.differentiable_log_likelihood(z, BATCH))


def test_training_on_a_sample_raises_the_full_bound():
    train = two_tastes(60, 20)
    loss = SampledMultinomial(negatives=SmoothedNegatives(n=4))
    model = model_of("multvae", loss, 20, beta=1.0, epochs=30)
    before = model.elbo(train, torch.Generator().manual_seed(0)).bound.mean()
    fit(model, train)
    assert model.elbo(train, torch.Generator().manual_seed(0)).bound.mean() > before + 1.0


def test_memory_of_training_counts_the_scored_items_in_place_of_the_catalog():
    train = Histories.from_lists([[0, 3, 4]] * 100, 100_000)
    bytes_of = {
        name: model_of("multvae", loss, 100_000).training_bytes(train)
        for name, loss in {
            "full": FullMultinomial(),
            "float32": SampledMultinomial(),
            "bfloat16": SampledMultinomial(precision="bfloat16"),
        }.items()
    }
    vectors = 2 * 100_000 * 16  # entries of the two tables
    assert bytes_of["full"] > 12 * vectors + 8 * 20 * 100_000
    assert 8 * vectors < bytes_of["float32"] < 0.8 * bytes_of["full"]
    assert 2 * vectors < bytes_of["bfloat16"] < 0.5 * bytes_of["float32"]
