"""Models on a GPU against the same models on the CPU: scores, lists by every ranker, closed forms, and resumed training."""

from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import torch

from foldin.data import Histories
from foldin.models import MODELS, DotProduct, ItemTokens, PosteriorSampler, Recommender, capability
from foldin.ranking import Eligibility, RankedLists, build_index, rank, ranker_of, scores
from foldin.testing import two_tastes
from foldin.training import Progress, fit
from tests.gpu.device import DEVICE
from tests.small import ITEMS, SETTINGS, USERS, describe, trained

NAMES = [name for name in MODELS if name != "als" or find_spec("implicit")]
RANKERS = {
    "exact": None,
    "gumbel:2": None,
    "sample": PosteriorSampler,
    "beam:50": ItemTokens,
    "dpp:0.5": DotProduct,
    "index": DotProduct,
}
TRAIN = two_tastes(60, ITEMS)


class Counted(Progress):
    """Counts epochs."""

    epochs = 0

    def epoch(self, record) -> None:
        self.epochs += 1


@pytest.fixture(scope="module", params=NAMES)
def here_and_there(request) -> tuple[Recommender[Any], Recommender[Any]]:
    """A model trained on the CPU, and the same tensors on the GPU."""
    here = trained(request.param)
    there = type(here)(ITEMS, here.config, device=DEVICE)
    describe(there)
    there.load_state(here.state())
    return here, there


def same_lists(one: RankedLists, other: RankedLists) -> bool:
    """Whether the scores are equal, and the items wherever no neighbor has nearly the same score."""
    if not np.allclose(one.scores, other.scores, rtol=1e-4, atol=1e-4):
        return False
    gaps = np.abs(np.diff(one.scores, axis=1, append=-np.inf))
    clear = (gaps > 1e-3) & (np.roll(gaps, 1, axis=1) > 1e-3)
    clear[:, -1] = False  # an item that is left out may have the same score as the last one
    return bool((one.items == other.items)[clear].all())


def test_scores_are_those_of_the_cpu(here_and_there):
    here, there = here_and_there
    found = scores(there, USERS)
    assert found.device.type == torch.device(DEVICE).type
    torch.testing.assert_close(found.cpu(), scores(here, USERS), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("ranker", RANKERS)
def test_lists_are_those_of_the_cpu(here_and_there, ranker):
    here, there = here_and_there
    needs = RANKERS[ranker]
    if needs is not None and capability(here, needs) is None:
        pytest.skip("cannot be ranked so")
    if ranker.startswith("gumbel") and not here.has_likelihood:
        pytest.skip("no density")
    if ranker == "index":
        pytest.importorskip("faiss")

    def lists(model: Recommender[Any]) -> RankedLists:
        by = ranker_of(ranker, model, seed=1, draws=5, index=lambda: build_index(model, "Flat"))
        return rank(model, USERS, 6, ranker=by, eligible=Eligibility.of(USERS, deny=[3]))

    assert same_lists(lists(here), lists(there))


# ALS begins at random, and products train other models.
@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("als", "product", "repeats")])
def test_a_closed_form_is_that_of_the_cpu(name):
    config = MODELS[name]().with_settings(SETTINGS.get(name, {}))
    models = [config.model_class(ITEMS, config, seed=5, device=device) for device in ("cpu", DEVICE)]
    for model in models:
        describe(model)
    if not models[0].trainer(TRAIN).closed_form:
        pytest.skip("it draws, and a GPU draws other numbers")
    for model in models:
        fit(model, TRAIN, seed=5)
    torch.testing.assert_close(scores(models[1], USERS).cpu(), scores(models[0], USERS), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        *((name, "float32") for name in ("multvae", "recvae", "sasrec", "semantic", "l-diffrec", "lda", "elsa")),
        *((name, "bfloat16") for name in ("multvae", "recvae", "sasrec", "semantic", "l-diffrec")),
    ],
)
def test_a_resumed_training_ends_as_an_undisturbed_one(name, precision, tmp_path):
    """Up to the order of sums: a few epochs, so that a difference has no time to grow."""
    settings = {**SETTINGS[name], "epochs": 4}
    config = MODELS[name]().with_settings(settings)

    def model() -> Recommender[Any]:
        return config.model_class(ITEMS, config, seed=5, device=DEVICE)

    whole, stopped, resumed, counted = model(), model(), model(), Counted()
    train = partial(fit, train=TRAIN, seed=5, precision=precision)
    train(whole, folder=tmp_path / "whole")
    train(stopped, folder=tmp_path / "part", until=lambda record: record.epoch == 2)
    train(resumed, folder=tmp_path / "part", resume=True, progress=counted)
    assert counted.epochs == 2
    # A sum in another order may round a factor to its neighbor in bfloat16.
    near = 1e-3 if precision == "float32" else 3e-2
    for tensor, value in resumed.state().items():
        torch.testing.assert_close(value, whole.state()[tensor], rtol=near, atol=near)


def test_a_user_with_a_long_history_is_read_in_memory_of_the_device():
    long = Histories.from_lists([np.random.default_rng(0).integers(0, ITEMS, 5000)], ITEMS)
    for name in ("multvae", "sasrec", "lda"):
        here = trained(name)
        there = type(here)(ITEMS, here.config, device=DEVICE)
        there.load_state(here.state())
        torch.testing.assert_close(scores(there, long).cpu(), scores(here, long), rtol=1e-3, atol=1e-3)
