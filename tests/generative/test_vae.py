"""The VAE: its objective written out, its bound against exact evidence, its schedule, and its file."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from foldin.data import Examples
from foldin.errors import ConfigError, DataError, FitError, RunError, ShapeError
from foldin.files import write_tensors
from foldin.generative import (
    VAE,
    Bernoulli,
    Categorical,
    DynamicBernoulli,
    FreeBits,
    Gaussian,
    Likelihood,
    Logistic,
    MixturePrior,
    NormalPrior,
    VAEConfig,
    VampPrior,
    load_model,
    save_model,
)
from foldin.inference import (
    Called,
    FactorAnalysis,
    bound_report,
    gaussian_kl,
    gaussian_kl_terms,
    log_normal,
    reparameterize,
)
from foldin.training import RisingOverShare, RisingOverUpdates, Step, fit

SHAPE = (4, 3)
TINY = {"hidden_dims": (8,), "latent_dim": 2, "batch_size": 20, "learning_rate": 0.02}
START = Step(number=0, planned=100)
LIKELIHOODS = (Bernoulli(), Gaussian(), Categorical(), Logistic())
PRIORS = (NormalPrior(), MixturePrior(n_components=3), VampPrior(n_components=3))


def noise(seed=0):
    return torch.Generator().manual_seed(seed)


def stripes(n=60, seed=0):
    """Pictures of which every other row is bright, or the others, with noise."""
    generator = noise(seed)
    which = torch.randint(0, 2, (n, 1, 1), generator=generator)
    bright = (torch.arange(SHAPE[0])[None, :, None] % 2 == which).expand(n, *SHAPE)
    values = torch.where(bright, 200, 30) + torch.randint(-25, 26, (n, *SHAPE), generator=generator)
    return Examples(values.to(torch.uint8))


def made(seed=3, **settings):
    return VAE(SHAPE, VAEConfig(**{**TINY, **settings}), seed=seed)


def mean_bound(model, data, draws=20):
    generator = noise(9)
    return float(torch.stack([model.elbo(data, generator).bound for _ in range(draws)]).mean())


@pytest.mark.parametrize("draws", [1, 3])
def test_the_objective_is_the_paper_s_written_out(draws):
    model, data = made(n_draws=draws, beta=0.7), stripes(5)
    loss = model.trainer(data).loss(data, START, noise())
    x = (data.values >= 128).float().flatten(1)
    (e1, e2), (b1, b2) = model.encoder.weights, model.encoder.biases
    (d1, d2), (c1, c2) = model.decoder.weights, model.decoder.biases
    mu, logvar = F.linear(torch.tanh(F.linear(x, e1, b1)), e2, b2).split(2, dim=1)
    epsilon = torch.randn((draws * 5, 2), generator=noise()).view(draws, 5, 2)
    z = mu + torch.exp(0.5 * logvar) * epsilon
    y = torch.sigmoid(F.linear(torch.tanh(F.linear(z, d1, c1)), d2, c2))
    reconstruction = (x * y.log() + (1 - x) * (1 - y).log()).sum(dim=-1).mean()
    kl = -0.5 * (1 + logvar - mu**2 - logvar.exp()).sum(dim=1).mean()
    torch.testing.assert_close(loss.value, 0.7 * kl - reconstruction)
    torch.testing.assert_close(loss.terms["kl"], kl)
    torch.testing.assert_close(loss.terms["reconstruction"], reconstruction)


def test_estimators_a_and_b_have_the_same_expectation():
    data = stripes(4)
    a, b = (made(prior=NormalPrior(estimator=one), n_draws=500) for one in "ab")
    generators = noise(1), noise(1)  # the same draws: the reconstructions cancel
    found = torch.tensor(
        [
            [
                float(one.trainer(data).loss(data, START, g).value.detach())
                for one, g in zip((a, b), generators, strict=True)
            ]
            for _ in range(40)
        ]
    )
    difference = found[:, 0] - found[:, 1]
    assert difference.std() > 0
    assert abs(difference.mean()) < 4 * difference.std() / math.sqrt(len(difference))


@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=lambda one: one.name)
@pytest.mark.parametrize("prior", PRIORS, ids=lambda one: one.name)
def test_training_raises_the_bound(likelihood, prior):
    data = stripes()
    model = made(likelihood=likelihood, prior=prior)
    before = mean_bound(model, data)
    result = fit(model, data, epochs=15)
    assert mean_bound(model, data) > before + 1.0
    last = result.records[-1].terms
    assert last["train/loss"] == pytest.approx(last["train/kl"] - last["train/reconstruction"], rel=1e-4)


def test_floats_are_examples_too():
    data = Examples(stripes().values.double() / 255.0)
    for likelihood in (Bernoulli(), Gaussian()):
        model = made(likelihood=likelihood, optimizer="adagrad")
        before = mean_bound(model, data)
        fit(model, data, epochs=10)
        assert mean_bound(model, data) > before


class FixedVariance(Likelihood):
    """x ~ N(decoder's output, s² I): a linear decoder makes the model probabilistic PCA."""

    name = "fixed variance"
    outputs = 1
    variance = 0.3

    def check(self, values):
        pass

    def _terms(self, outputs, values):
        return -0.5 * (math.log(2 * math.pi * self.variance) + (values - outputs[:, 0]).square() / self.variance)

    def mean(self, outputs):
        return outputs[:, 0]

    def sample(self, outputs, generator):
        raise NotImplementedError


def linear_gaussian(loadings, mean):
    """(a VAE without hidden layers, its encoder the exact posterior where that is diagonal, the same by factor analysis)."""
    width, latent = loadings.shape
    model = VAE((width,), VAEConfig(hidden_dims=(), latent_dim=latent))
    model.likelihood = FixedVariance()
    oracle = FactorAnalysis(latent, width, isotropic=True)
    oracle.loadings, oracle.mean = loadings.double().numpy(), mean.double().numpy()
    oracle.noise = np.full(width, FixedVariance.variance)
    at_zero, covariance = oracle.posterior(np.zeros((1, width)))
    slope = covariance @ oracle.loadings.T / FixedVariance.variance
    with torch.no_grad():
        model.decoder.weights[0].copy_(loadings)
        model.decoder.biases[0].copy_(mean)
        model.encoder.weights[0].copy_(torch.cat((torch.from_numpy(slope), torch.zeros(latent, width))))
        model.encoder.biases[0].copy_(torch.from_numpy(np.concatenate((at_zero[0], np.log(np.diag(covariance))))))
    return model, oracle


def test_with_the_exact_posterior_every_draw_is_the_evidence_of_ppca():
    loadings = torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 0.0], [0.0, -0.5]])  # orthogonal: a diagonal posterior
    model, oracle = linear_gaussian(loadings, torch.tensor([0.5, -1.0, 0.0, 2.0]))
    x = torch.randn(6, 4, generator=noise())
    data = Examples(x)
    mu, logvar = model.posterior(data)
    expected = torch.from_numpy(oracle.log_prob(x.double().numpy())).float()
    for seed in range(3):
        z = reparameterize(mu, logvar, noise(seed))
        weight = model.log_likelihood(z, data) + model.log_prior(z, data) - log_normal(z, mu, logvar)
        torch.testing.assert_close(weight.detach(), expected, rtol=1e-4, atol=1e-4)


def test_the_report_finds_the_evidence_of_ppca_from_an_encoder_that_is_wrong():
    loadings = torch.tensor([[1.0, 0.4], [0.3, 1.0], [-0.7, 0.6], [0.2, -0.5]])
    model, oracle = linear_gaussian(loadings, torch.tensor([0.5, -1.0, 0.0, 2.0]))
    with torch.no_grad():
        model.encoder.biases[0].add_(torch.tensor([0.4, -0.4, 0.5, 0.5]))
    x = oracle.sample(30, np.random.default_rng(0))
    report = bound_report(
        model,
        Examples(torch.from_numpy(x).float()),
        np.full(30, 4.0),
        called=Called("picture", "pictures", "pixel"),
        draws=500,
        annealed=0,
    )
    evidence = oracle.log_prob(x).mean()
    assert report["gap"]["best_bound"]["per_picture"] == pytest.approx(evidence, abs=0.02)
    assert report["bound"]["elbo"]["per_picture"] < evidence - 0.1
    curve = [entry["per_picture"] for entry in report["iwae"].values()]
    assert curve == sorted(curve)
    assert abs(curve[-1] - evidence) < 0.05


def test_free_bits_written_out():
    data, floor = stripes(6), 0.2
    plain, free = made(), made(free_bits=FreeBits(nats=floor))
    mu, logvar = plain.posterior(data)
    of_dimension = 0.5 * (mu**2 + logvar.exp() - 1 - logvar).mean(dim=0)
    below = sorted(of_dimension.tolist())
    assert below[0] < floor  # else the test would say nothing
    cost = sum(max(floor, one) for one in below)
    with torch.no_grad():
        loss, other = (one.trainer(data).loss(data, START, noise()) for one in (free, plain))
    assert float(loss.value + loss.terms["reconstruction"]) == pytest.approx(cost, rel=1e-5)
    assert float(loss.terms["kl"]) == pytest.approx(sum(below), rel=1e-5)
    torch.testing.assert_close(loss.terms["reconstruction"], other.terms["reconstruction"])


def test_free_bits_fall_over_their_share_of_the_steps_and_are_gone_after():
    model, plain, data = made(free_bits=FreeBits(nats=2.0, until=0.4)), made(), stripes(5)
    found = [model.trainer(data).free_bits_at(Step(number=number, planned=100)) for number in (0, 20, 40, 41, 100)]
    assert found == pytest.approx([2.0, 1.0, 0.0, 0.0, 0.0])
    assert made(free_bits=FreeBits(nats=2.0)).trainer(data).free_bits_at(Step(number=90, planned=100)) == 2.0
    mu, logvar = plain.posterior(data)
    of_dimension = gaussian_kl_terms(mu, logvar).mean(dim=0).detach()
    for number, floor in ((0, 2.0), (20, 1.0), (90, 0.0)):
        loss = model.trainer(data).loss(data, Step(number=number, planned=100), noise())
        cost = of_dimension.clamp(min=floor).sum()
        assert (loss.value + loss.terms["reconstruction"]).item() == pytest.approx(cost.item(), rel=1e-5)


def test_beta_rises_over_its_share_of_the_steps_and_stays():
    model, data = made(beta=0.5, beta_schedule=RisingOverShare(share=0.4)), stripes(5)
    found = [model.trainer(data).beta_at(Step(number=number, planned=100)) for number in (0, 20, 40, 41, 100)]
    assert found == pytest.approx([0.0, 0.25, 0.5, 0.5, 0.5])
    assert made(beta=0.5).trainer(data).beta_at(START) == 0.5
    by_updates = made(beta=0.5, beta_schedule=RisingOverUpdates(updates=40)).trainer(data)
    assert [by_updates.beta_at(Step(number=number, planned=100)) for number in (0, 10, 30)] == [0.0, 0.25, 0.5]


def test_the_objective_weighs_the_kl_by_beta_as_far_as_it_has_risen():
    model, data = made(beta=0.8, beta_schedule=RisingOverShare(share=0.5)), stripes(5)
    for number, beta in ((0, 0.0), (25, 0.4), (90, 0.8)):
        loss = model.trainer(data).loss(data, Step(number=number, planned=100), noise())
        expected = beta * loss.terms["kl"] - loss.terms["reconstruction"]
        assert loss.value.item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("prior", PRIORS[1:], ids=lambda one: one.name)
def test_a_learned_prior_is_the_one_of_bound_and_draws(prior):
    model, data = made(prior=prior), stripes(6)
    z = torch.randn(6, 2, generator=noise())
    assert torch.equal(model.log_prior(z, data), model.prior.log_prob(z))
    assert not torch.allclose(model.log_prior(z, data), log_normal(z, torch.zeros_like(z), torch.zeros_like(z)))
    assert torch.equal(model.draw(4, noise(1)), model.prior.sample(4, noise(1)))
    terms, (mu, logvar) = model.elbo(data, noise(2)), model.posterior(data)
    drawn = reparameterize(mu, logvar, noise(2))
    assert torch.allclose(terms.kl, log_normal(drawn, mu, logvar) - model.prior.log_prob(drawn), atol=1e-5)


def test_the_bound_in_blocks_is_that_of_all_rows():
    model, data = made(), stripes(25)
    whole = model.elbo(data, noise())
    model.block = lambda: 10
    parts = model.elbo(data, noise())
    assert len(parts.bound) == 25
    assert torch.allclose(parts.kl, whole.kl)


def test_the_bound_takes_the_kl_in_closed_form_under_a_standard_normal():
    model, data = made(), stripes(7)
    mu, logvar = model.posterior(data)
    torch.testing.assert_close(model.elbo(data, noise()).kl, gaussian_kl(mu, logvar).detach())


def test_pseudo_inputs_begin_as_training_examples():
    data = stripes()
    model = made(prior=VampPrior(n_components=4), learning_rate=1e-9)
    fit(model, data, epochs=1)
    encoded = (data.values >= 128).float().flatten(1)
    distances = torch.cdist(model.prior.inputs.detach().flatten(1), encoded)
    assert (distances.min(dim=1).values < 1e-3).all()


@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=lambda one: one.name)
def test_samples_and_reconstructions_have_the_shape_of_examples(likelihood):
    model, data = made(likelihood=likelihood), stripes(5)
    drawn = model.sample(6, noise())
    assert drawn.shape == (6, *SHAPE)
    assert torch.equal(drawn, model.sample(6, noise()))
    means = model.reconstruct(data)
    assert means.shape == (5, *SHAPE)
    assert ((means >= 0) & (means <= 1)).all()


def test_a_trained_model_draws_what_it_was_trained_on():
    model = made(epochs=60)
    fit(model, stripes(200))
    drawn = model.sample(200, noise())
    rows = drawn.mean(dim=2) > 0.5
    striped = (rows[:, 0] == rows[:, 2]) & (rows[:, 1] == rows[:, 3]) & (rows[:, 0] != rows[:, 1])
    assert striped.float().mean() > 0.8


@pytest.mark.parametrize("prior", PRIORS, ids=lambda one: one.name)
def test_a_saved_model_comes_back_to_the_bit(prior, tmp_path):
    model = made(prior=prior)
    save_model(tmp_path / "one.safetensors", model)
    other = load_model(tmp_path / "one.safetensors")
    assert other.config == model.config
    assert other.shape == SHAPE
    assert other.state().keys() == model.state().keys()
    assert all(torch.equal(value, other.state()[name]) for name, value in model.state().items())
    assert torch.equal(other.sample(3, noise()), model.sample(3, noise()))


def test_a_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    write_tensors(path, {"a": torch.ones(1)}, {"model": "multvae", "n_items": 3, "config": {}})
    with pytest.raises(RunError, match="holds 'multvae'; the models kept in one file are"):
        load_model(path)
    write_tensors(path, {"a": torch.ones(1)}, {"model": "vae", "shape": [2], "config": {"latent": 5}})
    with pytest.raises(RunError, match=r"version 1 of these files, this foldin reads version 2; train it anew"):
        load_model(path)
    write_tensors(path, {"a": torch.ones(1)}, {"model": "vae", "shape": [2], "version": 2, "config": {"latent_dim": 0}})
    with pytest.raises(RunError, match="cannot be used: VAE: latent_dim = 0"):
        load_model(path)
    good = {"model": "vae", "version": 2, "shape": [4, 3], "config": {}}
    for wrong in ({"model": ["vae"]}, {"shape": 5}, {"shape": ["a"]}, {"config": []}):
        write_tensors(path, {"a": torch.ones(1)}, {**good, **wrong})
        with pytest.raises(RunError, match=r"other\.safetensors: (holds|damaged)"):
            load_model(path)
    write_tensors(path, {"a": torch.ones(1)}, good)
    with pytest.raises(RunError, match=r"other\.safetensors: .* the stored tensors are \['a'\]"):
        load_model(path)
    with pytest.raises(RunError, match="no such file"):
        load_model(tmp_path / "none.safetensors")


def test_a_state_that_does_not_fit_changes_nothing():
    model = made()
    before, state = model.state(), made(seed=5).state()
    state[list(state)[-1]] = torch.zeros(1)
    with pytest.raises(RunError, match="expected"):
        model.load_state(state)
    assert all(torch.equal(value, before[name]) for name, value in model.state().items())


@pytest.mark.parametrize("settings", [{"optimizer": "adagrad"}, {"prior": VampPrior(n_components=3)}])
def test_stopped_and_resumed_it_ends_in_the_same_bits(settings, tmp_path):
    data = stripes()
    through = made(**settings)
    fit(through, data, epochs=4)
    fit(made(**settings), data, epochs=4, folder=tmp_path, until=lambda record: record.epoch == 2)
    resumed = made(seed=4, **settings)
    fit(resumed, data, epochs=4, folder=tmp_path, resume=True)
    assert all(torch.equal(value, resumed.state()[name]) for name, value in through.state().items())


def test_products_in_bfloat16_give_nearly_the_same_gradient_and_nothing_else_changes():
    data, gradients, told = stripes(40), [], []
    for precision in ("float32", "bfloat16"):
        model = made(precision=precision)
        loss = model.trainer(data).loss(data, Step(number=0, planned=10), noise())
        loss.value.backward()
        assert loss.value.dtype == torch.float32
        gradients.append(torch.cat([one.grad.flatten() for one in model.learned().values()]))
        told.append(model.elbo(data, noise()).bound)
    assert torch.nn.functional.cosine_similarity(*gradients, dim=0) > 0.999
    assert not torch.equal(*gradients)
    assert torch.equal(*told)
    fit(model, data, epochs=20)
    assert model.elbo(data, noise()).bound.mean() > told[1].mean()


def test_errors_name_what_was_wrong():
    for prior in (NormalPrior(estimator="a"), MixturePrior(), VampPrior()):
        with pytest.raises(ConfigError, match="VAE: free_bits: the KL of each latent dimension is needed"):
            VAEConfig(free_bits=FreeBits(nats=0.1), prior=prior)
    with pytest.raises(ShapeError, match=r"of shape \(\) have no values"):
        VAE(())
    with pytest.raises(ShapeError, match=r"shape \(4, 3\) were expected, not \(2, 2\)"):
        made().elbo(Examples(torch.zeros(1, 2, 2, dtype=torch.uint8)), noise())
    with pytest.raises(DataError, match="logistic: whole numbers"):
        fit(made(likelihood=Logistic()), Examples(torch.rand(3, *SHAPE)))
    with pytest.raises(DataError, match="these values have 5 on average: scale them"):
        fit(made(likelihood=Gaussian()), Examples(torch.full((3, *SHAPE), 5.0)))
    with pytest.raises(DataError, match="gaussian: finite floats"):
        fit(made(likelihood=Gaussian()), Examples(torch.zeros(3, *SHAPE, dtype=torch.int64)))
    with pytest.raises(FitError, match="nothing to train on"):
        fit(made(), stripes(3).rows(0, 0))
    with pytest.raises(FitError, match="the seed at least 0"):
        fit(made(), stripes(3), seed=-1)


def test_dynamic_binarization_learns_the_shade_and_the_threshold_does_not():
    gray = Examples(torch.full((200, *SHAPE), 153, dtype=torch.uint8))  # 3/5 of white
    means = {}
    for how in (DynamicBernoulli(), Bernoulli()):
        model = made(likelihood=how, epochs=30)
        fit(model, gray, seed=0)
        with torch.no_grad():
            means[how.name] = float(model.likelihood.mean(model.decode(model.draw(100, noise()))).mean())
    assert means["dynamic-bernoulli"] == pytest.approx(0.6, abs=0.05)
    assert means["bernoulli"] > 0.95
