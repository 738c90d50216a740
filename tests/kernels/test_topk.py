import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foldin.kernels import top_k


@given(st.integers(1, 5), st.integers(1, 60), st.integers(1, 70), st.integers(1, 6), st.integers(0, 2**20))
@settings(max_examples=200)
def test_it_is_a_stable_sort_cut_off(users, items, k, levels, seed):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(-levels, levels, (users, items), generator=generator).float()
    scores[torch.rand(users, items, generator=generator) < 0.2] = -torch.inf
    values, found = top_k(scores, k)
    expected = scores.sort(dim=1, descending=True, stable=True)
    depth = min(k, items)
    assert torch.equal(values[:, :depth], expected.values[:, :depth])
    real = values[:, :depth] > -torch.inf
    assert torch.equal(found[:, :depth][real], expected.indices[:, :depth][real])
    assert (found[values == -torch.inf] == -1).all()
    assert values.shape == found.shape == (users, k)


def test_nobody():
    values, found = top_k(torch.zeros(0, 5), 3)
    assert values.shape == found.shape == (0, 3)
