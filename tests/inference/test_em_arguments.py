"""Numbers that EM and its models cannot work with are refused before they begin, by name."""

import numpy as np
import pytest
import torch
from torch import distributions as td

from foldin.errors import ConfigError
from foldin.inference import (
    FactorAnalysis,
    FiniteMixture,
    GaussianMixture,
    Points,
    VariationalGaussianMixture,
    Weighted,
    em,
    stochastic_em,
)
from foldin.inference.k_means import k_means

X = np.random.default_rng(0).normal(size=(30, 3))
NAN = float("nan")


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


REFUSED = {
    "gaussian mixture, restarts": (lambda: GaussianMixture(2, 3).fit(Points(X), rng(), restarts=0), "restarts = 0"),
    "gaussian mixture, tolerance": (
        lambda: GaussianMixture(2, 3).fit(Points(X), rng(), tolerance=NAN),
        "tolerance = nan",
    ),
    "gaussian mixture, draws": (lambda: GaussianMixture(2, 3).sample(-1, rng()), "n = -1"),
    "gaussian mixture, floor": (lambda: GaussianMixture(2, 3, floor=NAN), "floor"),
    "variational mixture, iterations": (
        lambda: VariationalGaussianMixture(2, 3).fit(Points(X), rng(), iterations=-1),
        "iterations = -1",
    ),
    "variational mixture, strength": (lambda: VariationalGaussianMixture(2, 3, strength=NAN), "strength"),
    "factor analysis, draws": (lambda: FactorAnalysis(1, 3).sample(-2, rng()), "n = -2"),
    "factor analysis, floor": (lambda: FactorAnalysis(1, 3, floor=NAN), "floor"),
    "factor analysis, tolerance": (lambda: FactorAnalysis(1, 3).fit(X, rng(), tolerance=-1.0), "tolerance = -1.0"),
    "finite mixture, restarts": (
        lambda: FiniteMixture(td.Poisson, 2).fit(Weighted(torch.arange(9.0).double()), rng(), restarts=-3),
        "restarts = -3",
    ),
    "em, iterations": (lambda: em(GaussianMixture(2, 3), lambda: [Points(X)], iterations=-1), "iterations = -1"),
    "stochastic em, weight": (lambda: stochastic_em(GaussianMixture(2, 3), [Points(X)], weight=0.0), "weight = 0"),
    "stochastic em, delay": (
        lambda: stochastic_em(GaussianMixture(2, 3), [Points(X)], weight=30.0, delay=-1.0),
        "delay = -1.0",
    ),
    "stochastic em, forgetting": (
        lambda: stochastic_em(GaussianMixture(2, 3), [Points(X)], weight=30.0, forgetting=0.5),
        "forgetting = 0.5: must be a finite number above 0.5 and at most 1",
    ),
    "k-means": (lambda: k_means(X, 2, rng(), iterations=-1), "iterations = -1"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_number_that_cannot_be_worked_with_is_refused(name):
    call, message = REFUSED[name]
    with pytest.raises(ConfigError, match=message):
        call()
