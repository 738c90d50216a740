"""Evaluation and reports of models on a GPU against those of the same models on the CPU."""

import numpy as np
import polars as pl
import pytest
import torch

from foldin.data import HeldOut, Histories
from foldin.evaluation import bound_report, calibration_curve, evaluate, fit_temperature
from foldin.inference import Annealing
from foldin.models import DiffRec
from tests.gpu.device import DEVICE
from tests.small import ITEMS, describe, trained

RNG = np.random.default_rng(0)
ROWS = [RNG.permutation(np.arange(user % 2, ITEMS, 2)) for user in range(40)]
HELD = HeldOut(
    fold_in=Histories.from_lists([row[:4] for row in ROWS], ITEMS),
    targets=Histories.from_lists([row[4:7] for row in ROWS], ITEMS),
    users=pl.Series([f"u{user}" for user in range(len(ROWS))]),
)


def pair(name, **settings):
    here = trained(name, **settings)
    there = type(here)(ITEMS, here.config, device=DEVICE)
    describe(there)
    there.load_state(here.state())
    return here, there


@pytest.mark.parametrize("name", ["ease", "multvae", "recvae", "sasrec", "semantic", "diffrec", "lda", "product"])
def test_metrics_are_those_of_the_cpu(name):
    here, there = (evaluate(model, HELD, metrics=("ndcg@5", "recall@3")) for model in pair(name))
    assert here.metrics == there.metrics
    for metric in here.metrics:
        near = 0.02 if "@" in metric else 1e-3  # two items of nearly the same score may change places
        assert there.values(metric).mean() == pytest.approx(here.values(metric).mean(), abs=near, rel=1e-3), metric


@pytest.mark.parametrize("name", ["multvae", "recvae"])
def test_a_bound_report(name):
    """The bounds draw, by other numbers: the reports agree within their errors."""
    here, there = (
        bound_report(model, HELD, users=20, draws=200, refine_steps=20, annealed=4, annealing=Annealing(50), seed=1)
        for model in pair(name)
    )
    assert here.keys() == there.keys()
    values = [found["bound"]["elbo"]["per_user"] for found in (here, there)]
    assert values[1] == pytest.approx(values[0], rel=0.02)


def test_a_bound_of_diffusion():
    here, there = pair("diffrec", head="multinomial")
    assert isinstance(here, DiffRec)
    values = [
        model.bound(HELD.fold_in, torch.Generator(model.device).manual_seed(1)).value.mean().cpu()
        for model in (here, there)
    ]
    assert float(values[1]) == pytest.approx(float(values[0]), rel=0.2)


def test_a_temperature_and_a_curve():
    here, there = pair("ease")
    found = [fit_temperature(model, HELD).temperature for model in (here, there)]
    assert found[1] == pytest.approx(found[0], rel=1e-3)
    here, there = (calibration_curve(model, HELD) for model in pair("multvae"))
    for one, other in zip(here, there, strict=True):
        assert other == pytest.approx(one, rel=0.05)
