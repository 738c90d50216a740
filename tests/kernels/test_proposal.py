"""Draws from the strata of a distribution."""

import pytest
import torch

from foldin.kernels import Proposal


@pytest.mark.parametrize("power", [0.0, 0.75, 1.0])
def test_items_are_drawn_as_often_as_is_said(power):
    weights = torch.tensor([50.0, 20.0, 1.0, 9.0, 20.0], dtype=torch.float64) ** power
    proposal, generator = Proposal(weights), torch.Generator().manual_seed(1)
    n, repeats = 7, 3000
    counts = torch.zeros(repeats, 5)
    said = torch.full((5,), torch.nan)
    for one in range(repeats):
        items, log_expected = proposal.draw(n, generator)
        counts[one] = torch.bincount(items, minlength=5)
        said[items] = log_expected.exp()
    expected = (n * weights / weights.sum()).float()
    assert torch.allclose(said, expected, rtol=1e-6)
    error = counts.std(dim=0) / repeats**0.5
    assert ((counts.mean(dim=0) - expected).abs() <= 4 * error + 1e-9).all()
    # Less than independent draws vary: at most one more or one less than the whole part.
    assert ((counts - expected.floor()).abs() <= 2).all()


def test_as_many_draws_as_items_of_equal_shares_are_all_items():
    items, log_expected = Proposal(torch.ones(1000, dtype=torch.float64)).draw(1000, torch.Generator().manual_seed(2))
    assert items.tolist() == list(range(1000))
    assert torch.allclose(log_expected, torch.zeros(1000), atol=1e-6)


def test_a_seed_gives_the_same_draws():
    proposal = Proposal(torch.rand(50, generator=torch.Generator().manual_seed(3), dtype=torch.float64))
    first, again, other = (proposal.draw(20, torch.Generator().manual_seed(seed))[0] for seed in (4, 4, 5))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
