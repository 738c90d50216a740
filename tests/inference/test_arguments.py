"""Numbers that an algorithm cannot work with are refused before it begins, by name."""

import pytest
import torch

from foldin.errors import ConfigError, ShapeError
from foldin.inference import Parameter, black_box_vi
from foldin.inference.arguments import check_count, check_number
from foldin.inference.iwae import iwae_bound, iwae_curve


def black_box(**settings: float) -> object:
    return black_box_vi(lambda v: -v["a"].square(), {"a": Parameter()}, torch.Generator().manual_seed(0), **settings)  # type: ignore[arg-type]


NAN = float("nan")
REFUSED = {
    "a count": (lambda: check_count("k", 0, 1), "k = 0: must be a whole number of at least 1"),
    "a fraction": (lambda: check_count("k", 1.5, 1), "k = 1.5: must be a whole number"),
    "a number": (
        lambda: check_number("x", NAN, above=0.0, most=1.0),
        "x = nan: must be a finite number above 0 and at most 1",
    ),
    "black box, steps": (lambda: black_box(steps=0), "steps = 0"),
    "black box, draws": (lambda: black_box(draws=-1), "draws = -1"),
    "black box, final draws": (
        lambda: black_box(final_draws=24),
        "final_draws = 24: must be a whole number of at least 25",
    ),
    "black box, rate": (lambda: black_box(learning_rate=NAN), "learning_rate = nan"),
    "iwae": (lambda: iwae_curve(torch.zeros(4, 2), (1, 0)), "k = 0"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_number_that_cannot_be_worked_with_is_refused(name):
    call, message = REFUSED[name]
    with pytest.raises(ConfigError, match=message):
        call()


def test_a_bound_of_no_draws():
    with pytest.raises(ShapeError, match="at least one draw"):
        iwae_bound(torch.zeros(0, 3))
