"""Softmax over a sample of the catalog, against the whole and by enumeration; row-sparse gradients against dense ones."""

import itertools

import pytest
import torch

import foldin.kernels.sampled as sampled_module
from foldin.kernels import (
    Proposal,
    bag_of_items,
    bag_of_rows,
    multinomial_from_hidden,
    multinomial_log_likelihood,
    scored_items,
    scores_into,
    take_rows,
)

ITEMS, WIDTH = 9, 4
EVENTS, OFFSETS = torch.tensor([3, 1, 3, 8]), torch.tensor([0, 2, 2, 4])  # of three users, the second without events


@pytest.fixture
def parts():
    generator = torch.Generator().manual_seed(1)
    shapes = ((3, WIDTH), (ITEMS, WIDTH), (ITEMS,))
    return [
        torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True) for shape in shapes
    ]  # states, vectors, biases


def sampled(parts, negatives, log_expected):
    hidden, weight, bias = parts
    scored = scored_items(EVENTS, negatives, log_expected.double())
    return multinomial_from_hidden(hidden, scored.vectors(weight), scored.biases(bias), scored.targets, OFFSETS)


def gradients(values, parts):
    weights = torch.tensor([1.0, 2.0, -0.5], dtype=torch.float64)
    found = torch.autograd.grad((weights * values).sum(), parts)
    return [one.to_dense() if one.is_sparse else one for one in found]


def test_a_sample_of_all_items_gives_the_full_softmax(parts):
    found = sampled(parts, torch.arange(ITEMS), torch.zeros(ITEMS))
    full = multinomial_from_hidden(*parts, EVENTS, OFFSETS)
    assert torch.allclose(found, full)
    for one, other in zip(gradients(found, parts), gradients(full, parts), strict=True):
        assert torch.allclose(one, other)


def test_it_is_its_formula(parts):
    """Items of the batch weigh 1 however often they are drawn; the others by the inverse of their expected numbers."""
    negatives, expected = torch.tensor([0, 3, 5, 5, 7]), {0: 0.4, 5: 0.9, 7: 1.7, 3: 0.2}
    found = sampled(parts, negatives, torch.tensor([expected[int(j)] for j in negatives]).log())
    hidden, weight, bias = parts
    scores = (hidden @ weight.T + bias).detach()
    factor = torch.zeros(ITEMS, dtype=torch.float64)
    factor[[0, 5, 7]] = torch.tensor([1 / 0.4, 2 / 0.9, 1 / 1.7], dtype=torch.float64)
    factor[[1, 3, 8]] = 1.0
    brute = scores - (scores.exp() * factor).sum(dim=1, keepdim=True).log()
    sums = [brute[0, 3] + brute[0, 1], torch.zeros((), dtype=torch.float64), brute[2, 3] + brute[2, 8]]
    assert torch.allclose(found, torch.stack(sums))


def test_partition_function_and_gradient_are_unbiased(parts):
    """All draws of a proposal are enumerated with their probabilities."""
    hidden, weight, bias = parts
    shares = torch.tensor([5.0, 1.0, 2.0, 4.0, 1.0, 3.0, 2.0, 1.0, 6.0], dtype=torch.float64)
    n, ends = 3, torch.cumsum(shares / shares.sum(), 0)
    begins = ends - shares / shares.sum()
    strata = [
        (n * (ends.clamp(max=(k + 1) / n) - begins.clamp(min=k / n)).clamp(min=0)).tolist() for k in range(n)
    ]  # of each item in each
    log_expected = (n * shares / shares.sum()).log()
    least = Proposal(shares).draw(500, torch.Generator().manual_seed(2))[1].exp().min()
    assert least.item() == pytest.approx(500 / 25, rel=1e-5)  # the proposal says what is computed here
    total, likelihood = torch.zeros(3, dtype=torch.float64), 0.0
    for draws in itertools.product(range(ITEMS), repeat=n):
        chance = 1.0
        for stratum, item in zip(strata, draws, strict=True):
            chance *= stratum[item]
        if chance:
            negatives = torch.tensor(draws)
            scored = scored_items(EVENTS, negatives, log_expected[negatives])
            scores = hidden @ scored.vectors(weight).T + scored.biases(bias)
            total = total + chance * scores.exp().sum(dim=1)
            likelihood += chance * sampled(parts, negatives, log_expected[negatives]).detach()
    exact = (hidden @ weight.T + bias).exp().sum(dim=1)
    assert torch.allclose(total, exact)
    for one, other in zip(gradients(total, parts), gradients(exact, parts), strict=True):
        assert torch.allclose(one, other)
    full = multinomial_from_hidden(*parts, EVENTS, OFFSETS)
    assert (likelihood >= full - 1e-12).all()  # the estimated likelihood is too large on average
    assert (likelihood[[0, 2]] > full[[0, 2]]).all()


def test_the_bias_of_the_gradient_falls_with_the_number_of_draws():
    generator = torch.Generator().manual_seed(3)
    hidden, weight = 0.5 * torch.randn(2, 3, generator=generator), torch.randn(300, 3, generator=generator)
    weight.requires_grad_()
    items, offsets, proposal = torch.tensor([5, 7]), torch.tensor([0, 1, 2]), Proposal(torch.ones(300).double())

    def gradient(n: int, repeats: int) -> torch.Tensor:
        total = torch.zeros_like(weight)
        for _ in range(repeats):
            scored = scored_items(items, *proposal.draw(n, generator))
            scores = hidden @ scored.vectors(weight).T + scored.log_weight
            value = multinomial_log_likelihood(scores, scored.targets, offsets).sum()
            total += torch.autograd.grad(value, weight)[0].to_dense()
        return total / repeats

    exact = torch.autograd.grad(multinomial_log_likelihood(hidden @ weight.T, items, offsets).sum(), weight)[0]
    few, many = (float((gradient(n, repeats) - exact)[items].norm()) for n, repeats in ((3, 400), (60, 100)))
    assert many < 0.2 * few


@pytest.mark.parametrize("kind", [torch.float64, torch.float32, torch.bfloat16])
def test_gradients_of_rows_are_those_of_the_table(kind):
    generator = torch.Generator().manual_seed(4)
    table = torch.randn(ITEMS, WIDTH, generator=generator).to(kind).requires_grad_()
    work = torch.float32 if kind == torch.bfloat16 else kind
    values = torch.rand(4, generator=generator).to(work)
    upstream = torch.randn(3, WIDTH, generator=generator).to(work)
    found = bag_of_rows(table, EVENTS, OFFSETS, values)
    plain = bag_of_items(table.to(work), EVENTS, OFFSETS, values)
    assert found.dtype == work
    assert torch.allclose(found, plain, rtol=1e-6)
    one = torch.autograd.grad((found * upstream).sum(), table)[0]
    other = torch.autograd.grad((plain * upstream).sum(), table)[0]
    assert one.is_sparse
    assert one.coalesce().indices()[0].tolist() == [1, 3, 8]
    assert torch.allclose(one.to_dense().float(), other.float(), rtol=1e-2 if kind == torch.bfloat16 else 1e-6)


def test_an_empty_batch_of_events_has_sums_of_zero():
    table = torch.ones(ITEMS, WIDTH, requires_grad=True)
    none = torch.zeros(0, dtype=torch.int64)
    found = bag_of_rows(table, none, torch.zeros(3, dtype=torch.int64), torch.zeros(0))
    assert torch.equal(found, torch.zeros(2, WIDTH))
    found.sum().backward()
    assert table.grad is not None
    assert table.grad._nnz() == 0


def test_rows_of_biases_are_taken_too():
    bias = torch.arange(5.0, requires_grad=True)
    taken = take_rows(bias, torch.tensor([1, 4]))
    assert taken.tolist() == [1.0, 4.0]
    (gradient,) = torch.autograd.grad(taken.square().sum(), bias)
    assert gradient.to_dense().tolist() == [0.0, 2.0, 0.0, 0.0, 8.0]


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_scores_of_a_table_of_either_format(kind, monkeypatch):
    monkeypatch.setattr(sampled_module, "_ROWS", 4)
    generator = torch.Generator().manual_seed(5)
    hidden, table = torch.randn(3, WIDTH, generator=generator), torch.randn(ITEMS, WIDTH, generator=generator).to(kind)
    out = torch.empty(3, ITEMS)
    assert scores_into(out, hidden, table) is out
    assert torch.allclose(out, hidden @ table.float().T, atol=1e-6)
