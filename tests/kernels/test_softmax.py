import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foldin.kernels import Buffers, log_total, multinomial_from_hidden, multinomial_log_likelihood

ITEMS, OFFSETS = torch.tensor([0, 2, 6, 1]), torch.tensor([0, 3, 3, 4])


def parts(users: int, items: int, width: int, seed: int, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    made = [
        torch.randn(shape, generator=generator, dtype=dtype) for shape in ((users, width), (items, width), (items,))
    ]
    return [one.requires_grad_() for one in made]


def test_gradcheck_with_and_without_buffers():
    hidden, weight, bias = parts(3, 7, 4, 0)
    for buffers in (None, Buffers()):
        assert torch.autograd.gradcheck(
            lambda h, w, b, kept=buffers: multinomial_from_hidden(h, w, b, ITEMS, OFFSETS, kept), (hidden, weight, bias)
        )


@given(st.integers(1, 6), st.integers(2, 30), st.integers(0, 2**20), st.sampled_from([1.0, 60.0]))
@settings(max_examples=60)
def test_it_is_the_plain_formula(users, items, seed, scale):
    generator = torch.Generator().manual_seed(seed)
    rows = [
        torch.randperm(items, generator=generator)[: int(torch.randint(0, items + 1, (1,), generator=generator))]
        for _ in range(users)
    ]
    taken = torch.cat(rows)
    offsets = torch.tensor([0, *(len(r) for r in rows)]).cumsum(0)
    hidden, weight, bias = parts(users, items, 3, seed)
    plain = multinomial_log_likelihood(scale * hidden @ weight.t() + bias, taken, offsets)
    upstream = torch.randn(users, generator=generator, dtype=torch.float64)
    expected = torch.autograd.grad((plain * upstream).sum(), (hidden, weight, bias))
    fused = multinomial_from_hidden(scale * hidden, weight, bias, taken, offsets, Buffers())
    found = torch.autograd.grad((fused * upstream).sum(), (hidden, weight, bias))
    assert torch.allclose(fused, plain, rtol=1e-9, atol=1e-9)
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, rtol=1e-7, atol=1e-8)


@given(st.integers(0, 2**20))
@settings(max_examples=30)
def test_weighted_events_count_by_their_weight(seed):
    hidden, weight, bias = parts(3, 7, 4, seed)
    generator = torch.Generator().manual_seed(seed)
    values = torch.rand(len(ITEMS), generator=generator, dtype=torch.float64) + 0.1
    users = torch.tensor([0, 0, 0, 2])
    logp = torch.log_softmax(hidden @ weight.t() + bias, dim=1)[users, ITEMS]
    plain = torch.zeros(3, dtype=torch.float64).index_add(0, users, values * logp)
    upstream = torch.randn(3, generator=generator, dtype=torch.float64)
    expected = torch.autograd.grad((plain * upstream).sum(), (hidden, weight, bias))
    fused = multinomial_from_hidden(hidden, weight, bias, ITEMS, OFFSETS, Buffers(), values)
    assert torch.allclose(fused, plain)
    for one, other in zip(torch.autograd.grad((fused * upstream).sum(), (hidden, weight, bias)), expected, strict=True):
        assert torch.allclose(one, other)


def test_a_repeated_backward_gives_the_same_gradient():
    hidden, weight, bias = parts(3, 7, 4, 1)
    loss = multinomial_from_hidden(hidden, weight, bias, ITEMS, OFFSETS).sum()
    first = torch.autograd.grad(loss, (hidden, weight, bias), retain_graph=True)
    second = torch.autograd.grad(loss, (hidden, weight, bias))
    assert all(torch.allclose(a, b) for a, b in zip(first, second, strict=True))


def test_what_needs_no_gradient_gets_none():
    hidden, weight, bias = parts(3, 7, 4, 2)
    weight.requires_grad_(False)
    bias.requires_grad_(False)
    multinomial_from_hidden(hidden, weight, bias, ITEMS, OFFSETS).sum().backward()
    assert hidden.grad is not None
    assert weight.grad is None
    assert bias.grad is None


def test_large_logits_do_not_overflow():
    hidden, weight, bias = parts(2, 5, 3, 3, torch.float32)
    value = multinomial_from_hidden(1e4 * hidden, weight, bias, torch.tensor([1, 4]), torch.tensor([0, 1, 2]))
    assert torch.isfinite(value).all()


def test_the_total_of_rows_with_masked_items():
    logits = torch.randn(40, 9, generator=torch.Generator().manual_seed(0))
    logits[:, 3] = -torch.inf
    logits[7] = -torch.inf
    top, best = logits.max(dim=1, keepdim=True)
    expected = torch.logsumexp(logits, dim=1, keepdim=True)
    expected[7] = 0.0
    assert torch.allclose(log_total(logits, top, best - (top == -torch.inf).long() * 99), expected, atol=1e-5)
