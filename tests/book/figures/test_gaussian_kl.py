"""The figure of a Gaussian's KL shows what PyTorch computes."""

import pytest
from torch.distributions import Normal, kl_divergence

from tests.book.figures.running import computed, needs_node


@needs_node
@pytest.mark.parametrize(("mu", "sigma"), [(0.0, 1.0), (1.2, 0.6), (-2.0, 2.0), (0.0, 0.2)])
def test_the_area_and_the_closed_form_are_the_kl(mu, sigma):
    values = computed("gaussian-kl", {"mu": mu, "sigma": sigma})
    kl = float(kl_divergence(Normal(mu, sigma), Normal(0.0, 1.0)))
    assert values["kl"] == pytest.approx(kl, abs=1e-6)
    assert values["area"] == pytest.approx(kl, abs=1e-6)
