"""VQ-VAE: the gradient past the quantizer, the loss written out, codes in their places, bits of known pictures."""

import math
from dataclasses import replace

import pytest
import torch

from foldin.data import Examples
from foldin.errors import ConfigError, DataError, FitError, ShapeError
from foldin.generative import (
    VQVAE,
    Categorical,
    CodebookLoss,
    CodePrior,
    CodePriorConfig,
    MovingAverage,
    VQVAEConfig,
    bits_per_value,
    load_model,
    save_model,
)
from foldin.nn import ProductQuantizer, ResidualQuantizer, VectorQuantizer
from foldin.training import Step, fit

SMALL = {
    "channels": 8,
    "block_channels": 4,
    "n_blocks": 1,
    "codebook_size": 8,
    "embedding_dim": 4,
    "batch_size": 16,
    "learning_rate": 5e-3,
}
PRIOR = CodePriorConfig(
    codebook_size=8, embedding_dim=16, n_heads=2, n_layers=1, dropout=0.0, epochs=30, learning_rate=5e-3
)
START = Step(number=0, planned=1)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def model(shape: tuple[int, ...] = (8, 8), seed: int = 1, **settings) -> VQVAE:
    return VQVAE(shape, VQVAEConfig(**(SMALL | settings)), seed=seed)


def squares(n: int = 96, side: int = 8, seed: int = 0) -> Examples:
    """Bright or dark squares of 4×4 pixels in any order, with some noise."""
    light = torch.randint(2, (n, side // 4, side // 4), generator=generator(seed))
    rough = torch.randint(30, (n, side, side), generator=generator(seed + 1))
    return Examples((200 * light.repeat_interleave(4, 1).repeat_interleave(4, 2) + rough).to(torch.uint8))


def patterns(n: int = 128) -> Examples:
    """One of two pictures of 4×4, the first three times as often."""
    both = torch.randint(256, (2, 4, 4), generator=generator(6), dtype=torch.uint8)
    return Examples(both[(torch.arange(n) % 4 == 0).long()])


def test_the_gradient_of_the_encoder_is_that_of_the_decoder_at_the_codes():
    """By differences of −log p(x|q) in q, in double precision; commitment is off, so that there is nothing else."""
    one, data = model(standardized=False, commitment=0.0), squares(3)
    fit(one, data, epochs=1)
    for part in (one.encoder, one.decoder, one.quantizer):
        part.double().requires_grad_(True)
    values, pixels = data.values, data.values.double().div(255).unsqueeze(1)
    z = one.encoder(pixels).movedim(1, -1).flatten(0, 2)
    found = one.quantizer(z)
    assert not torch.allclose(found.values, z, atol=1e-3)

    def cost(q: torch.Tensor) -> torch.Tensor:
        return -one.likelihood.log_prob(one.decode_vectors(q), values).mean()

    loss = cost(found.values) + found.loss
    (at_z,) = torch.autograd.grad(loss, z, retain_graph=True)
    codes = found.values.detach()
    for place, axis in ((0, 0), (5, 2), (11, 3)):
        step = torch.zeros_like(codes)
        step[place, axis] = 1e-6
        slope = float((cost(codes + step) - cost(codes - step)).detach()) / 2e-6
        assert float(at_z[place, axis]) == pytest.approx(slope, rel=1e-4, abs=1e-6)
    weights = list(one.encoder.parameters())
    reached = torch.autograd.grad(loss, weights, retain_graph=True)
    through = torch.autograd.grad(z, weights, grad_outputs=at_z)
    assert all(torch.allclose(a, b) for a, b in zip(reached, through, strict=True))
    assert all(float(a.abs().max()) > 0 for a in reached)


@pytest.mark.parametrize("update", [MovingAverage(), CodebookLoss()])
@pytest.mark.parametrize("standardized", [True, False])
def test_the_loss_written_out_in_nats_of_a_picture(update, standardized):
    one, data = model(codebook_update=update, standardized=standardized), squares(6)
    one.trainer(data).begin(data, generator())
    z = one.encoder(data.values.float().div(255).unsqueeze(1)).permute(0, 2, 3, 1).reshape(-1, 4)
    if standardized:
        z = (z - z.mean(dim=0)) / (z.var(dim=0, unbiased=False) + 1e-5).sqrt()
    vectors = one.quantizer.vectors.clone()
    codes = torch.cdist(z, vectors).argmin(dim=1)
    apart = (z - vectors[codes]).square().sum() / 6
    outputs = one.decoder(vectors[codes].view(6, 2, 2, 4).permute(0, 3, 1, 2))
    reconstruction = one.likelihood.log_prob(outputs, data.values).mean()
    loss = one.trainer(data).loss(data, START, generator())
    weight = 1.25 if isinstance(update, CodebookLoss) else 0.25
    assert torch.allclose(loss.value, weight * apart - reconstruction, rtol=1e-4)
    assert torch.allclose(loss.terms["quantizer"], weight * apart, rtol=1e-4)
    loss.value.backward()
    assert (one.quantizer.vectors.grad is not None) == isinstance(update, CodebookLoss)
    shares = torch.bincount(codes, minlength=8) / 24
    assert torch.allclose(loss.terms["perplexity"], torch.exp(-(shares * shares.clamp(min=1e-9).log()).sum()))


def test_codes_go_row_by_row_and_those_of_a_place_side_by_side():
    one = model((16, 16), n_blocks=0, groups=2)
    assert one.positions == 4 * 4 * 2
    codes = torch.zeros(1, one.positions, dtype=torch.int64)
    before = one.decode(codes)
    for place, group in ((0, 0), (1, 1), (7, 0), (12, 1)):
        moved = codes.clone()
        moved[0, 2 * place + group] = 3
        rows, columns = (one.decode(moved) - before)[0, 0].nonzero(as_tuple=True)
        # A place writes 3 pixels beyond its own 4×4 on each side.
        for own, at in ((rows, place // 4), (columns, place % 4)):
            assert (int(own.min()), int(own.max())) == (max(0, 4 * at - 3), min(15, 4 * at + 6))
    # And it is read from there.
    plain, data = model((16, 16), n_blocks=0), squares(1, 16)
    fit(plain, squares(40, 16), epochs=2)
    other = data.values.clone()
    other[0, 4:8, 12:] = 255 - other[0, 4:8, 12:]
    changed = (plain.codes(Examples(other)) != plain.codes(data)).nonzero()[:, 1].tolist()
    assert 7 in changed
    assert set(changed) <= {2, 3, 6, 7, 10, 11}


@pytest.mark.parametrize(
    ("settings", "kind", "places"),
    [
        ({}, VectorQuantizer, 1),
        ({"levels": 3}, ResidualQuantizer, 3),
        ({"groups": 2}, ProductQuantizer, 2),
        ({"groups": 2, "levels": 2, "codebook_update": CodebookLoss()}, ProductQuantizer, 4),
    ],
)
def test_training_lowers_the_loss_and_uses_the_codes(settings, kind, places):
    one, data = model(**settings, learning_rate=0.02), squares()
    assert isinstance(one.quantizer, kind)
    records = fit(one, data, epochs=12).records
    assert records[-1].terms["train/loss"] < records[0].terms["train/loss"] - 20
    assert records[-1].terms["train/perplexity"] > 2
    codes = one.codes(data)
    assert codes.shape == (96, 4 * places)
    assert codes.dtype == torch.int64
    found = one.use(data)
    assert found.perplexity.shape == (places,)
    assert (found.perplexity > 1.5).all()
    assert torch.equal(one.reconstruct(data), one.likelihood.mean(one.decode(codes)))
    by_hand = one.likelihood.log_prob(one.decode(codes), data.values)
    assert torch.allclose(one.log_likelihood(data), by_hand, rtol=1e-5)
    # Squares of one brightness are told from those of another.
    assert float((one.reconstruct(data) - data.values / 255).abs().mean()) < 0.2


def test_use_is_of_codes_over_places_and_of_names_over_pictures():
    one = model(codebook_size=4)
    codes = torch.tensor([[0, 0, 0, 0], [0, 1, 2, 2], [0, 0, 0, 0], [1, 1, 1, 1]])
    one.codes = lambda data: codes
    found = one.use(squares(4))
    shares = torch.tensor([9, 5, 2]) / 16
    assert found.perplexity[0] == pytest.approx(float(torch.exp(-(shares * shares.log()).sum())))
    assert found.used[0] == 0.75
    assert found.collisions == 0.5
    assert found.largest == 2
    assert found.alarms == (
        "level 0: 25% of the 4 codes are not used",
        "50% of the things share their name with another",
    )


def test_the_codebook_begins_at_standardized_vectors_of_the_encoder():
    one, data = model(), squares(500)
    one.trainer(data).begin(data, generator())
    some = one.encode(data.values)
    assert torch.allclose(some.mean(dim=0), torch.zeros(4), atol=0.2)
    assert torch.allclose(some.var(dim=0), torch.ones(4), atol=0.3)
    used = one.use(data).used
    assert used[0] == 1.0
    before = one.state()
    one.codes(data)
    one.log_likelihood(data)
    assert all(torch.equal(value, one.state()[name]) for name, value in before.items())


def test_unused_codes_begin_again_in_training():
    """A codebook far away from everything but for one vector comes back."""
    data, used = squares(), []
    for revive in (0.0, 0.5):
        one = model(revive=revive)
        one.trainer(data).begin(data, generator())
        with torch.no_grad():
            one.quantizer.vectors[1:] += 100.0
            one.quantizer.sums.copy_(one.quantizer.vectors)
            one.quantizer.uses.fill_(1.0)
        for number in range(50):
            with torch.no_grad():
                one.trainer(data).loss(data.rows(0, 16), START, generator(number))
        used.append(float(one.use(data).used[0]))
    assert used[0] == 1 / 8
    assert used[1] > 0.5


def test_bits_per_pixel_of_a_known_distribution():
    """Decoder and prior without weights: 8 bits a pixel, and log₂ K for each code of 16 pixels."""
    one, prior = model(likelihood=Categorical()), CodePrior((4,), PRIOR)
    with torch.no_grad():
        for tensor in (*one.decoder.parameters(), prior.weight):
            tensor.zero_()
    data = Examples(torch.randint(256, (5, 8, 8), generator=generator(), dtype=torch.uint8))
    terms = one.elbo(data, prior)
    assert torch.allclose(terms.kl, torch.full((5,), 4 * math.log(8)))
    assert bits_per_value(float(terms.reconstruction.mean()), 64) == pytest.approx(8.0, rel=1e-6)
    assert bits_per_value(float(terms.bound.mean()), 64) == pytest.approx(8.0 + 3 / 16, rel=1e-6)


def test_the_bound_is_below_the_model_s_own_log_p():
    """Of one place, the evidence is a sum over K codes: log Σ_c p(c) p(x|c)."""
    one, prior, data = model((4, 4)), CodePrior((1,), PRIOR, seed=3), patterns(12)
    fit(one, data, epochs=2)
    every = torch.arange(8).unsqueeze(1)
    each = torch.stack([one.likelihood.log_prob(one.decode(c.expand(12, 1)), data.values) for c in every])
    evidence = torch.logsumexp(each + prior.log_prob(every).unsqueeze(1), dim=0)
    bound = one.elbo(data, prior).bound
    assert (bound < evidence).all()
    codes = one.codes(data)[:, 0]
    assert torch.allclose(bound, (each + prior.log_prob(every).unsqueeze(1))[codes, torch.arange(12)], rtol=1e-5)


def test_two_pictures_of_known_shares_cost_their_entropy():
    """All that is to be said of a picture is which of the two it is: .811 bits."""
    data = patterns()
    one = model((4, 4), codebook_size=2, likelihood=Categorical(), channels=16, learning_rate=0.02)
    fit(one, data, epochs=25)
    prior = CodePrior((1,), replace(PRIOR, codebook_size=2))
    fit(prior, Examples(one.codes(data)))
    terms = one.elbo(data, prior)
    assert float(terms.kl.mean()) / math.log(2) == pytest.approx(0.8113, abs=0.01)
    assert -float(terms.reconstruction.mean()) < 0.5
    drawn = one.sample(400, prior, generator())
    assert drawn.dtype == torch.uint8
    both = torch.stack([data.values[1], data.values[0]])
    likeness = (drawn.unsqueeze(1).float() - both.float()).abs().mean(dim=(2, 3)) / 255
    assert float(likeness.min(dim=1).values.max()) < 0.05
    assert float((likeness.argmin(dim=1) == 0).float().mean()) == pytest.approx(0.75, abs=0.09)


@pytest.mark.parametrize("settings", [{}, {"levels": 2, "codebook_update": CodebookLoss()}])
def test_training_that_was_stopped_goes_on_to_the_same_bits(tmp_path, settings):
    data, made = squares(50), lambda seed: model(seed=seed, epochs=4, revive=0.5, **settings)
    whole, parts, again = made(1), made(1), made(7)
    fit(whole, data, seed=3)
    fit(parts, data, seed=3, folder=tmp_path, until=lambda record: record.epoch == 2)
    assert len(fit(again, data, seed=3, folder=tmp_path, resume=True).records) == 4
    assert all(torch.equal(value, again.state()[name]) for name, value in whole.state().items())
    assert torch.equal(whole.codes(data), again.codes(data))


def test_saved_and_loaded_with_its_prior_to_the_bit(tmp_path):
    data, one = squares(30), model((8, 8), groups=2)
    fit(one, data, epochs=1)
    prior = CodePrior((8,), PRIOR)
    for name, kept in (("autoencoder", one), ("prior", prior)):
        save_model(tmp_path / name, kept)
    same, its = load_model(tmp_path / "autoencoder"), load_model(tmp_path / "prior")
    assert isinstance(same, VQVAE)
    assert isinstance(its, CodePrior)
    assert torch.equal(same.elbo(data, its).bound, one.elbo(data, prior).bound)
    assert torch.equal(same.sample(3, its, generator()), one.sample(3, prior, generator()))


def test_the_last_batch_may_hold_a_single_place():
    one = model((4, 4), batch_size=4)
    fit(one, patterns(5), epochs=2)
    assert all(bool(value.isfinite().all()) for value in one.state().values())


@pytest.mark.parametrize("shape", [(28, 27), (6, 8), (784,), (3, 8, 8)])
def test_pictures_that_four_does_not_divide_are_refused(shape):
    with pytest.raises(ShapeError, match="4 divides"):
        VQVAE(shape)


def test_other_pictures_codes_and_settings_are_refused():
    one = model()
    with pytest.raises(ShapeError, match=r"pictures of shape \(8, 8\) were expected, not \(8, 12\)"):
        one.codes(Examples(torch.zeros(2, 8, 12, dtype=torch.uint8)))
    with pytest.raises(ShapeError, match="no pictures"):
        one.codes(squares(0))
    with pytest.raises(DataError, match="of type uint8 were expected"):
        fit(one, Examples(torch.zeros(2, 8, 8)))
    with pytest.raises(FitError, match="nothing to train on"):
        fit(one, Examples(torch.zeros(0, 8, 8, dtype=torch.uint8)))
    with pytest.raises(ShapeError, match=r"4 positions in \[0, 8\) were expected, met 0 to 0 of shape \(2, 5\)"):
        one.decode(torch.zeros(2, 5, dtype=torch.int64))
    with pytest.raises(ShapeError, match=r"were expected, met 0 to 8 of shape"):
        one.decode(torch.tensor([[0, 1, 2, 8]]))
    for prior in (CodePrior((3,), PRIOR), CodePrior((4,), replace(PRIOR, codebook_size=9))):
        with pytest.raises(ShapeError, match="a prior of 4 positions and 8 codes was expected"):
            one.elbo(squares(2), prior)
        with pytest.raises(ShapeError, match="a prior of 4 positions and 8 codes was expected"):
            one.sample(2, prior, torch.Generator())
    with pytest.raises(ConfigError, match="groups = 3: must divide embedding_dim = 64"):
        VQVAEConfig(groups=3)
