"""Checks of the equations of the chapter on discrete codes: each computes both sides by different means."""

import functools
import itertools
from collections import Counter

import numpy as np
import torch
from scipy.special import logsumexp, rel_entr
from scipy.stats import norm
from torch.autograd.functional import jacobian
from torch.distributions import Normal

from foldin.data import Examples, Histories
from foldin.generative import VQVAE, Bernoulli, CodebookLoss, CodePrior, CodePriorConfig, MovingAverage, VQVAEConfig
from foldin.inference import k_means, nearest
from foldin.models import RandomTokens, SemanticIds, SemanticIdsConfig
from foldin.models.collisions import resolve_collisions
from foldin.nn import FiniteScalarQuantizer, ResidualQuantizer, VectorQuantizer, code_use
from foldin.training import Step

# A VQ-VAE of pictures of 4 × 8 pixels: a grid of 1 × 2 places, each with one of three codes, so that all 3² codes can be listed.
K, L = 3, 2
CODES = torch.tensor(list(itertools.product(range(K), repeat=L)))
PICTURES = Examples(torch.from_numpy(np.random.default_rng(0).integers(0, 256, (6, 4, 8)).astype(np.uint8)))
CHOSEN = [0, 3, 8]  # outputs of the encoder, of which its codebook is made


def autoencoder(update=None):
    """A VQ-VAE with random weights, whose codebook is made of three outputs of the encoder, so that all codes occur."""
    config = VQVAEConfig(
        channels=8,
        block_channels=4,
        n_blocks=0,
        codebook_size=K,
        embedding_dim=2,
        codebook_update=update or MovingAverage(),
        commitment=BETA,
        standardized=False,
        revive=0.0,
        likelihood=Bernoulli(),
    )
    model = VQVAE((4, 8), config, seed=0)
    with torch.no_grad():
        model.quantizer.vectors.copy_(model.encode(PICTURES.values)[CHOSEN])
    return model


@functools.cache
def coded():
    """(model, prior over its codes, both with random weights)."""
    prior = CodePrior((L,), CodePriorConfig(codebook_size=K, embedding_dim=4, n_heads=1, n_layers=1), seed=1)
    return autoencoder(), prior


def log_prior(prior):
    """log p(c) of all 3² codes: two factors, multiplied by hand."""
    each = torch.log_softmax(prior.logits(CODES), dim=2).numpy()
    return np.array(
        [sum(each[row, place, code] for place, code in enumerate(c)) for row, c in enumerate(CODES.tolist())]
    )


def posterior(codes):
    """q(c | x) over all 3² codes: 1 for the code of x, otherwise 0."""
    return np.array([float(c == codes) for c in CODES.tolist()])


# Twelve vectors of width two, and a codebook of five, of which the last two are too far away to be the nearest.
rng = np.random.default_rng(1)
Z = torch.from_numpy(rng.normal(size=(12, 2)))
E = torch.tensor([[-0.6, 0.1], [0.5, 0.9], [0.4, -0.8], [20.0, 20.0], [20.0, -20.0]], dtype=torch.float64)


def quantizer(vectors, **settings):
    """The library's quantizer with a given codebook."""
    found = VectorQuantizer(*vectors.shape, generator=torch.Generator().manual_seed(0), **settings).double()
    with torch.no_grad():
        found.vectors.copy_(vectors)
        found.sums.copy_(vectors)
    return found


def code_of(z, vectors):
    """The nearest code, by comparing all distances in a loop."""
    distances = [sum((a - b) ** 2 for a, b in zip(z, e, strict=True)) for e in vectors.tolist()]
    return distances.index(min(distances))


def codes_of(points, vectors):
    return [code_of(z, vectors) for z in points.tolist()]


def objective(log_p, z, vectors, alpha, beta):
    """The objective of one example, as the equation has it: rows of z are its places, `detach` is sg."""
    chosen = vectors[codes_of(z.detach(), vectors.detach())]
    reconstruction = log_p(z + (chosen - z).detach())
    codebook, commitment = (z.detach() - chosen).square().sum(), (z - chosen.detach()).square().sum()
    return reconstruction - alpha * codebook - beta * commitment


# A decoder of all twelve places to three numbers, p(x | z) = N(x; tanh(W z), I).
W, X = torch.from_numpy(0.3 * rng.normal(size=(3, 24))), torch.from_numpy(rng.normal(size=3))
ALPHA, BETA = 0.7, 0.4


def log_p_of_x(z):
    return Normal(torch.tanh(W @ z.reshape(-1)), 1.0).log_prob(X).sum()


def log_p_of_pixels(model, x, vectors):
    """log p(x | vectors) of one picture of zeros and ones, pixel by pixel."""
    white = model.decode_vectors(vectors)[0, 0].sigmoid()
    return torch.where(x > 127, white, 1.0 - white).log().sum()


def gradients():
    """The gradients of the objective with respect to the places and to the codebook, by automatic differentiation."""
    z, vectors = Z.clone().requires_grad_(), E.clone().requires_grad_()
    return torch.autograd.grad(objective(log_p_of_x, z, vectors, ALPHA, BETA), (z, vectors))


# Three hundred points in three groups, for k-means.
POINTS = rng.normal(size=(300, 2)) + 3.0 * rng.integers(-1, 2, size=(300, 1))


@functools.cache
def clustered():
    """(the four centers that k-means converged to, the codes of the points)."""
    centers = k_means(POINTS, 4, np.random.default_rng(2), iterations=200)
    return centers, nearest(POINTS, centers)[0]


RHO = 0.1


@functools.cache
def moved():
    """For each of five batches: the batch, its codes, and the library's averages (r̄, z̄, e) before and after the step."""
    layer, generator = quantizer(E, average=1.0 - RHO), torch.Generator().manual_seed(0)
    state = lambda: (layer.uses.clone(), layer.sums.clone(), layer.vectors.detach().clone())
    steps = []
    for at in range(5):
        batch = torch.from_numpy(np.random.default_rng(at).normal(size=(40, 2)))
        before = state()
        codes = layer(batch, generator).codes[:, 0]
        steps.append((batch, codes, before, state()))
    return steps


@functools.cache
def residual(zero=True):
    """A residual quantizer of three levels of four vectors, smaller from level to level; each has the zero vector, or none."""
    rng = np.random.default_rng(4)
    books = [torch.from_numpy(rng.normal(scale=scale, size=(4, 2))) for scale in (1.0, 0.5, 0.25)]
    for book in books:
        book[3] = 0.0 if zero else 3.0
    return ResidualQuantizer([quantizer(book, commitment=BETA) for book in books]), books


def by_hand(points, books):
    """(codes, residuals z̃_1 … z̃_L+1) of each point, in loops."""
    codes, residuals = [], []
    for z in points.tolist():
        left, found = [z], []
        for book in books:
            found.append(code_of(left[-1], book))
            left.append([a - b for a, b in zip(left[-1], book[found[-1]].tolist(), strict=True)])
        codes.append(found)
        residuals.append(left)
    return codes, torch.tensor(residuals, dtype=torch.float64)


def fsq(z, levels):
    """Finite scalar quantization of the coordinates of z by the library."""
    return FiniteScalarQuantizer(levels)(z).values


@functools.cache
def catalog():
    """(model of nine items with tokens of 2 + 1 levels of three codes, histories of two users, the states of these)."""
    config = SemanticIdsConfig(tokens=RandomTokens(levels=2, codebook_size=3), embedding_dim=4, n_layers=1)
    model = SemanticIds(9, config, seed=0)
    codes = np.random.default_rng(5).integers(0, 3, (9, 2))
    tokens = torch.from_numpy(resolve_collisions(codes, 3, np.random.default_rng(0)))
    model.load_state({**model.state(), "tokens": tokens})
    with torch.no_grad():
        generator = torch.Generator().manual_seed(1)
        for parameter in model.decoder.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator))
        histories = Histories.from_lists([[0, 1, 2, 3], [4, 5, 6, 7, 8]], 9)
        return model, histories, model.encoder.newest_states(histories)


def log_shares(model, state, path):
    """log p of each code that continues a path to some item, given the state and the path, by hand."""
    level, table = len(path), model.encoder.items.detach().numpy().reshape(3, 3, -1)
    asks, gates, shifts = (getattr(model.decoder, one).detach().numpy() for one in ("asks", "gates", "shifts"))
    behind = sum((table[at, code] for at, code in enumerate(path)), np.zeros(table.shape[2]))
    asked = state @ asks[level] * (1.0 + behind @ gates[level]) + behind @ shifts[level]
    tokens = model.item_tokens().tolist()
    existing = sorted({one[level] for one in tokens if one[:level] == list(path)})
    logits = np.array([asked @ table[level, code] + model.decoder.bias[3 * level + code].item() for code in existing])
    return dict(zip(existing, logits - logsumexp(logits), strict=True))


def check_code_length():
    model, prior = coded()
    by_library = model.elbo(PICTURES, prior).kl.numpy()
    for codes, kl in zip(model.codes(PICTURES).tolist(), by_library, strict=True):
        assert abs(rel_entr(posterior(codes), np.exp(log_prior(prior))).sum() - kl) < 1e-5
    assert len(set(map(tuple, model.codes(PICTURES).tolist()))) > 2  # the pictures do not all have one code


def check_uniform():
    for places, size in ((1, 5), (2, 3), (4, 6)):
        q = np.eye(size**places)  # a row for each sequence of codes, which has probability 1
        assert np.allclose(rel_entr(q, 1.0 / len(q)).sum(axis=1), places * np.log(size))
    uniform = CodePrior((L,), CodePriorConfig(codebook_size=K, embedding_dim=4, n_heads=1, n_layers=1))
    with torch.no_grad():
        uniform.weight.zero_()
    assert np.allclose(coded()[0].elbo(PICTURES, uniform).kl, L * np.log(K))


def check_bound():
    model, prior = coded()
    outputs = model.decode(CODES)
    likelihoods = [model.likelihood.log_prob(outputs, x.expand(len(CODES), -1, -1)) for x in PICTURES.values]
    summands = torch.stack(likelihoods).numpy() + log_prior(prior)
    kept = [
        row[CODES.tolist().index(codes)] for row, codes in zip(summands, model.codes(PICTURES).tolist(), strict=True)
    ]
    assert np.allclose(kept, model.elbo(PICTURES, prior).bound, rtol=1e-5)
    assert (logsumexp(summands, axis=1) > kept).all()
    # Nothing is lost where only one code explains x: of the vectors −1, 0 and 2 for x = 1.9, a narrow likelihood leaves one.
    for sd, least, most in ((1.0, 0.1, 0.2), (0.2, 0.0, 1e-12)):
        terms = np.log([0.5, 0.2, 0.3]) + norm.logpdf(1.9, [-1.0, 0.0, 2.0], sd)
        assert least <= logsumexp(terms) - terms[2] < most


def check_nearest():
    found = quantizer(E)(Z)
    codes = codes_of(Z, E)
    assert found.codes[:, 0].tolist() == codes
    assert torch.allclose(found.values, E[codes])
    assert len(set(codes)) == 3


def check_half_space():
    for z in Z:
        for one, other in itertools.permutations(E, 2):
            difference = torch.linalg.vector_norm(z - one) ** 2 - torch.linalg.vector_norm(z - other) ** 2
            assert torch.isclose(difference, 2.0 * (other - one) @ z + one @ one - other @ other)
    # So a cell is convex: between two vectors of a code there is no other code.
    codes = quantizer(E)(Z).codes[:, 0]
    for k in range(3):
        inside = Z[codes == k]
        between = torch.lerp(inside[:, None], inside[None], 0.5)
        assert set(codes_of(between.reshape(-1, 2), E)) == {k}


def check_straight_through():
    layer, z = quantizer(E), Z[:1]
    assert torch.allclose(layer(z).values, E[codes_of(z, E)])  # the value is ẑ
    assert torch.equal(jacobian(lambda one: layer(one).values, z).reshape(2, 2), torch.eye(2, dtype=torch.float64))
    near = torch.normal(z.expand(20, 2), 1e-6, generator=torch.Generator().manual_seed(0))
    assert (
        layer(near).codes.unique() == layer(z).codes
    )  # while ẑ itself does not change with z: its true derivative is zero


def check_objective():
    for update, alpha in ((CodebookLoss(), 1.0), (MovingAverage(), 0.0)):
        model = autoencoder(update)
        with torch.no_grad():
            model.quantizer.vectors.add_(0.7)  # so that no place has a vector of its own, and all terms count
            z = model.encode(PICTURES.values).view(len(PICTURES), L, 2)
            values = [
                objective(functools.partial(log_p_of_pixels, model, x), at, model.quantizer.vectors, alpha, BETA)
                for x, at in zip(PICTURES.values, z, strict=True)
            ]
            loss = model.trainer(PICTURES).loss(PICTURES, Step(0, 1, 0), torch.Generator().manual_seed(0)).value
        assert torch.isclose(loss, -sum(values) / len(PICTURES), rtol=1e-5)


def check_codebook_gradient():
    _, of_vectors = gradients()
    codes = codes_of(Z, E)
    for k, e in enumerate(E):
        towards = sum((z - e for z, code in zip(Z, codes, strict=True) if code == k), torch.zeros_like(e))
        assert torch.allclose(of_vectors[k], 2.0 * ALPHA * towards)
    assert (
        of_vectors.any(dim=1).tolist() == [True] * 3 + [False] * 2
    )  # a vector that is never the nearest does not move


def check_encoder_gradient():
    of_places, _ = gradients()
    z_hat, step = E[codes_of(Z, E)], 1e-6
    for place, j in itertools.product(range(len(Z)), range(2)):
        nudge = torch.zeros_like(Z)
        nudge[place, j] = step
        of_decoder = (log_p_of_x(z_hat + nudge) - log_p_of_x(z_hat - nudge)) / (2.0 * step)
        assert abs(of_places[place, j] - of_decoder - 2.0 * BETA * (z_hat - Z)[place, j]) < 1e-6


def check_assigned_mean():
    centers, codes = clustered()
    assert codes.tolist() == codes_of(torch.from_numpy(POINTS), torch.from_numpy(centers))
    for k, center in enumerate(centers):
        r = (codes == k).astype(float)
        assert np.allclose(center, r @ POINTS / r.sum())
    # Before the first step the centers are points; none is taken twice, since it is at distance zero from itself.
    few = np.array([[0.0], [1.0], [5.0]])
    starts = [k_means(few, 3, np.random.default_rng(seed), iterations=0) for seed in range(20)]
    assert all(np.array_equal(np.sort(one, axis=0), few) for one in starts)


def check_parallel_axis():
    centers, codes = clustered()
    for k, center in enumerate(centers):
        mine = POINTS[codes == k]
        for other in (center, np.array([0.3, -0.1]), np.zeros(2)):
            left = sum(np.linalg.norm(z - other) ** 2 for z in mine)
            least = len(mine) * (mine.var(axis=0)).sum()  # the sum of squares around the mean, from variances
            assert abs(left - least - len(mine) * np.linalg.norm(center - other) ** 2) < 1e-8


def check_moving_averages():
    for batch, codes, (r, z, _), (r_after, z_after, e_after) in moved():
        for k in range(len(E)):
            mine = [point for point, code in zip(batch, codes.tolist(), strict=True) if code == k]
            r_k = (1.0 - RHO) * r[k] + RHO * len(mine)
            z_k = (1.0 - RHO) * z[k] + RHO * sum(mine, torch.zeros(2))
            assert torch.isclose(r_after[k], r_k)
            assert torch.allclose(z_after[k], z_k)
            assert torch.allclose(e_after[k], z_k / r_k)
    # With resets, an average below 12 % of the even use of 40/5 counts as dead: it is 1 − ρ after one batch without the code.
    layer, dead, (batch, *_) = quantizer(E, average=1.0 - RHO, least=0.12), [3, 4], next(iter(moved()))
    layer(batch, torch.Generator().manual_seed(0))
    assert all((batch == e).all(dim=1).any() for e in layer.vectors[dead])  # reset to a vector of the batch
    assert layer.uses[dead].tolist() == [8.0, 8.0]
    assert torch.allclose(layer.sums[dead], 8.0 * layer.vectors[dead])


def check_moving_step():
    for batch, codes, (_, _, e), (r_after, _, e_after) in moved():
        vectors = e.clone().requires_grad_()
        (gradient,) = torch.autograd.grad((batch - vectors[codes]).square().sum(), vectors)
        # −½ of the gradient of the codebook loss is Σ r (z − e): each vector has a step size of its own.
        assert torch.allclose(e_after, e - 0.5 * (RHO / r_after).unsqueeze(1) * gradient)


def check_perplexity():
    rng = np.random.default_rng(3)
    for codes, exact in (
        (rng.choice(6, 500, p=[0.5, 0.2, 0.2, 0.1, 0.0, 0.0]), None),
        (np.zeros(20, dtype=int), 1.0),  # one code alone: the left end
        (np.arange(24) % 6, 6.0),  # all equally often: the right end
    ):
        shares = np.array([Counter(codes.tolist())[k] for k in range(6)]) / len(codes)
        by_kl = 6 * np.exp(-rel_entr(shares, np.full(6, 1 / 6)).sum())
        by_library = code_use(codes[:, None], (6,))
        assert abs(by_library.perplexity[0] - by_kl) < 1e-9
        assert exact is None or abs(by_kl - exact) < 1e-9
        assert 1.0 <= round(by_kl, 9) <= 6.0
        assert by_library.used[0] == len(set(codes.tolist())) / 6
    # Codes of two levels: all four vectors share their first code with another, and two of them share both.
    two = code_use(np.array([[0, 0], [0, 1], [1, 1], [1, 1]]), (2, 2))
    assert two.shared.tolist() == [1.0, 0.5]
    # All thirty codes occur, but one of them a thousand times: that is an alarm.
    alarms = code_use(np.r_[np.arange(30), np.zeros(1000, dtype=int)][:, None], (30,)).alarms
    assert "of the 30 codes were used alike" in alarms[0]


def check_residuals():
    layers, books = residual()
    codes, _ = by_hand(Z, books)
    assert layers(Z).codes.tolist() == codes
    assert len({tuple(one) for one in codes}) > 4  # more sums than a level has vectors


def check_residual_error():
    layers, books = residual()
    found, (_, residuals) = layers(Z), by_hand(Z, books)
    assert torch.allclose(found.values, layers.decode(found.codes))
    assert torch.allclose(found.values, Z - residuals[:, -1])
    # Each level adds its commitment term to the loss: the squares of what it leaves over.
    assert torch.isclose(found.loss, BETA * residuals[:, 1:].square().sum() / len(Z))


def check_no_growth():
    _, books = residual()
    _, residuals = by_hand(Z, books)
    sizes = lambda residuals: residuals.square().sum(dim=2)
    squares = sizes(residuals)
    for level, book in enumerate(books):
        assert torch.allclose(squares[:, level + 1], torch.cdist(residuals[:, level], book).square().amin(dim=1))
    assert (squares[:, 1:] <= squares[:, :-1]).all()
    assert (squares[:, 1:] < squares[:, :-1]).any()
    assert (squares[:, 1:] == squares[:, :-1]).any()  # where zero is the nearest
    without = sizes(by_hand(Z, residual(zero=False)[1])[1])
    assert (without[:, 1:] > without[:, :-1]).any()


def check_rounding():
    z = torch.linspace(-6.0, 6.0, 1000, dtype=torch.float64)
    for levels in range(2, 10):
        steps = torch.arange(levels) - 0.5 * (levels - 1)  # as many values as levels, one apart, with mean zero
        bounded = 0.5 * (levels - 1) * (1.0 - 2.0 / (1.0 + torch.exp(2.0 * z)))
        nearest_step = (bounded[:, None] - steps).abs().argmin(dim=1)
        assert torch.allclose(fsq(z[:, None], [levels])[:, 0], steps[nearest_step].double())
        assert len(nearest_step.unique()) == levels  # none is out of reach
        if levels % 2:  # as the paper has it for odd numbers
            assert torch.allclose(fsq(z[:, None], [levels])[:, 0], torch.round(levels // 2 * torch.tanh(z)))
    z = torch.tensor([[0.3, -0.8]], requires_grad=True)  # the gradient is that of the bounded value
    (slope,) = torch.autograd.grad(fsq(z, [5, 4]).sum(), z)
    assert np.allclose(slope, [2.0 / np.cosh(0.3) ** 2, 1.5 / np.cosh(0.8) ** 2])


def check_rounding_rate():
    levels = (8, 5, 3)
    axis = torch.atanh(torch.linspace(-0.999, 0.999, 24, dtype=torch.float64))
    found = FiniteScalarQuantizer(levels)(torch.cartesian_prod(axis, axis, axis))
    met = found.values.mul(2.0).round().unique(dim=0)
    rates = rel_entr(np.eye(len(met)), 1.0 / len(met)).sum(axis=1)  # KL of each point from the uniform prior, in nats
    assert np.allclose(rates / np.log(2.0), sum(np.log2(size) for size in levels))
    # The code numbers the combinations, counted in each coordinate from the smallest value.
    places = [np.unique(one, return_inverse=True)[1] for one in found.values.mul(2.0).round().numpy().T]
    assert np.array_equal(found.codes[:, 0], np.ravel_multi_index(places, levels, order="F"))


def check_path():
    model, histories, states = catalog()
    found = model.logits(histories).numpy()
    for user, state in enumerate(states.numpy()):
        for item, codes in enumerate(model.item_tokens().tolist()):
            log_p = sum(log_shares(model, state, codes[:at])[code] for at, code in enumerate(codes))
            assert abs(log_p - found[user, item]) < 1e-4


def check_children():
    model, _, states = catalog()
    tokens = model.item_tokens().tolist()
    for state in states.numpy():
        total = {(): 1.0}
        for level in range(3):
            before = sum(total.values())
            paths = {tuple(one[: level + 1]) for one in tokens}
            total = {one: total[one[:-1]] * np.exp(log_shares(model, state, one[:-1])[one[-1]]) for one in paths}
            assert abs(sum(total.values()) - before) < 1e-6
        assert len(total) == len(tokens)  # the last token makes a path one item


def check_sum_to_one():
    model, histories, _ = catalog()
    p = model.logits(histories).double().exp()
    assert torch.allclose(p.sum(dim=1), torch.ones(2, dtype=torch.float64), atol=1e-5)
    assert all(len(of_user.unique()) > 3 for of_user in p)
