import math

import pytest
import torch

import foldin.models.sequential._sampled_scores as scores_module
from foldin.data import Histories
from foldin.kernels import softmax_cross_entropy
from foldin.models import InBatchNegatives, PopularNegatives, SmoothedNegatives, UniformNegatives
from foldin.models.sequential._losses import binary_loss, calibration, sampled_softmax_loss
from foldin.models.sequential._sampled_scores import sampled_scores
from foldin.models.sequential.negatives import negatives_not_taken

TOKENS, ITEMS, WIDTH = 11, 30, 5


@pytest.fixture
def parts():
    generator = torch.Generator().manual_seed(1)
    hidden = torch.randn(TOKENS, WIDTH, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(ITEMS, WIDTH, generator=generator, dtype=torch.float64, requires_grad=True)
    return hidden, weight, torch.randint(ITEMS, (TOKENS,), generator=generator)


def draws(k: int, seed: int = 2):
    return torch.randint(ITEMS, (TOKENS, k), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("share", [0.0, 2.0])
def test_sampled_scores_are_inner_products_with_their_gradients(parts, share, monkeypatch):
    monkeypatch.setattr(scores_module, "_DENSE_SHARE", share)
    monkeypatch.setattr(scores_module, "_BLOCK", 4 * ITEMS)
    hidden, weight, _ = parts
    items = draws(40)  # more draws than items: some come twice
    found, brute = sampled_scores(hidden, weight, items), (hidden @ weight.t()).gather(1, items)
    assert torch.allclose(found, brute)
    for one, other in zip(
        torch.autograd.grad(found.square().sum(), parts[:2]),
        torch.autograd.grad(brute.square().sum(), parts[:2]),
        strict=True,
    ):
        assert torch.allclose(one, other)


def brute_binary(hidden, weight, targets, negatives, beta):
    total = 0.0
    for token in range(TOKENS):
        score = lambda item, token=token: float(hidden[token].detach() @ weight[item].detach())
        sigmoid = lambda s: 1.0 / (1.0 + math.exp(-s))
        total -= math.log(sigmoid(score(targets[token])) ** beta)
        total -= sum(math.log(1.0 - sigmoid(score(item))) for item in negatives[token])
    return total / TOKENS


@pytest.mark.parametrize("k", [1, 7])
@pytest.mark.parametrize("beta", [1.0, 0.3])
def test_the_binary_loss_is_its_formula(parts, k, beta):
    negatives = draws(k)
    found = binary_loss(*parts, negatives, beta)
    assert found.item() == pytest.approx(brute_binary(*parts, negatives.tolist(), beta))


def test_gbce_without_calibration_is_bce_and_with_all_of_it_the_sampling_rate():
    assert calibration(0.0, 17, ITEMS) == pytest.approx(1.0)
    assert calibration(1.0, 17, ITEMS) == pytest.approx(17 / (ITEMS - 1))
    alpha = 17 / (ITEMS - 1)
    assert calibration(0.75, 17, ITEMS) == pytest.approx(alpha * (0.75 * (1 - 1 / alpha) + 1 / alpha))


def test_sampled_softmax_with_all_items_is_the_full_softmax(parts):
    everything = torch.arange(ITEMS)
    found = sampled_softmax_loss(*parts, everything, torch.zeros(ITEMS, dtype=torch.float64))
    full = softmax_cross_entropy(*parts) / TOKENS
    assert torch.allclose(found, full)
    for one, other in zip(torch.autograd.grad(found, parts[:2]), torch.autograd.grad(full, parts[:2]), strict=True):
        assert torch.allclose(one, other)


def test_sampled_softmax_is_its_formula(parts):
    hidden, weight, targets = parts
    negatives, q = torch.tensor([3, 3, 8, int(targets[0])]), torch.linspace(0.01, 0.06, ITEMS)
    expected = (4 * q[negatives]).log().double()
    total = 0.0
    for token in range(TOKENS):
        score = (weight @ hidden[token]).tolist()
        target = int(targets[token])
        rest = sum(
            math.exp(score[j]) / math.exp(e)
            for j, e in zip(negatives.tolist(), expected.tolist(), strict=True)
            if j != target
        )
        total += math.log(math.exp(score[target]) + rest) - score[target]
    assert sampled_softmax_loss(*parts, negatives, expected).item() == pytest.approx(total / TOKENS)


@pytest.mark.parametrize("uneven", [False, True])
def test_the_corrected_sum_estimates_the_partition_function_without_bias(parts, uneven):
    hidden, weight, targets = parts[0][:1].detach(), parts[1].detach(), parts[2][:1]
    shares = torch.linspace(1.0, 4.0 if uneven else 1.0, ITEMS, dtype=torch.float64)
    shares /= shares.sum()
    generator = torch.Generator().manual_seed(3)
    ratios = []
    exact = float((weight @ hidden[0]).exp().sum())
    for _ in range(4000):
        negatives = torch.multinomial(shares, 20, replacement=True, generator=generator)
        loss = sampled_softmax_loss(hidden, weight, targets, negatives, (20 * shares[negatives]).log())
        score = float(weight[targets[0]] @ hidden[0])
        ratios.append(math.exp(float(loss) + score) / exact)
    mean = sum(ratios) / len(ratios)
    error = (sum((r - mean) ** 2 for r in ratios) / len(ratios) / len(ratios)) ** 0.5
    assert abs(mean - 1.0) < 4 * error


def test_negatives_are_items_that_the_user_does_not_have():
    batch = Histories.from_lists([list(range(10)), [11, 0]], 12)
    users = torch.tensor([0] * 50 + [1] * 50)
    found = negatives_not_taken(2, batch, users, torch.Generator().manual_seed(1))
    assert set(found[:50].flatten().tolist()) == {10, 11}
    assert set(found[50:].flatten().tolist()) == set(range(1, 11))
    everything = Histories.from_lists([list(range(12))], 12)  # ends all the same
    assert negatives_not_taken(1, everything, torch.zeros(5, dtype=torch.int64), torch.Generator()).shape == (5, 1)


@pytest.mark.parametrize(
    "sampling",
    [
        UniformNegatives(n=100_000),
        PopularNegatives(n=100_000),
        SmoothedNegatives(n=100_000, power=0.5),
        InBatchNegatives(),
    ],
)
def test_shared_negatives_come_as_often_as_is_said(sampling):
    shares = torch.tensor([0.5, 0.3, 0.15, 0.05])
    generator = torch.Generator().manual_seed(2)
    targets = torch.multinomial(shares, 100_000, replacement=True, generator=generator)
    drawn, log_expected = sampling.draw(shares.log(), targets, generator)
    counts = torch.bincount(drawn, minlength=4)
    for item in range(4):
        expected = log_expected[drawn == item][0].exp().item()
        assert counts[item].item() == pytest.approx(expected, rel=0.05)


def test_the_targets_of_other_tokens_estimate_the_partition_function_without_bias(parts):
    """All batches of three tokens over four items are enumerated: value and gradient are those of the full sum."""
    hidden, weight = parts[0][:1].detach(), parts[1][:4].detach().requires_grad_()
    shares = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    target = torch.tensor([2])
    positive = (hidden @ weight[2]).squeeze()
    total = torch.zeros((), dtype=torch.float64)
    for first in range(4):
        for second in range(4):
            targets = torch.tensor([2, first, second])
            negatives, log_expected = InBatchNegatives().draw(shares.log(), targets, torch.Generator())
            loss = sampled_softmax_loss(hidden, weight, target, negatives, log_expected)
            total = total + shares[first] * shares[second] * (loss + positive).exp()
    exact = (weight @ hidden[0]).exp().sum()
    assert total.item() == pytest.approx(exact.item(), rel=1e-12)
    found, full = (torch.autograd.grad(one, weight, retain_graph=True)[0] for one in (total, exact))
    assert torch.allclose(found, full, rtol=1e-10)


def test_a_token_alone_has_no_negative_among_its_batch(parts):
    shares = torch.full((ITEMS,), 1.0 / ITEMS, dtype=torch.float64)
    negatives, log_expected = InBatchNegatives().draw(shares.log(), parts[2][:1], torch.Generator())
    assert torch.isfinite(log_expected).all()
    assert sampled_softmax_loss(parts[0][:1], parts[1], parts[2][:1], negatives, log_expected).item() == 0.0
