"""A prior over codes: a distribution, causal, as close to known ones as can be, and the same drawn as scored."""

import itertools
import math
import sys

import pytest
import torch

from foldin.data import Examples
from foldin.errors import ConfigError, FitError, ShapeError
from foldin.generative import CodePrior, CodePriorConfig
from foldin.training import Step, fit

SMALL = {"embedding_dim": 16, "n_heads": 2, "n_layers": 2, "dropout": 0.0}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def prior(codes: int = 3, positions: int = 4, **settings) -> CodePrior:
    """Of settings as given, its weights large enough for unlike probabilities."""
    made = CodePrior((positions,), CodePriorConfig(codebook_size=codes, **(SMALL | settings)), seed=1)
    with torch.no_grad():
        made.weight.mul_(4.0)
        made.bias.normal_(generator=generator(5))
    return made


def every(codes: int, positions: int) -> torch.Tensor:
    return torch.tensor(list(itertools.product(range(codes), repeat=positions)))


def trained(rows: torch.Tensor, codes: int, **settings) -> CodePrior:
    made = CodePrior((rows.shape[1],), CodePriorConfig(codebook_size=codes, **(SMALL | settings)), seed=1)
    fit(made, Examples(rows), seed=2)
    return made


@pytest.mark.parametrize("block", ["gated", "plain"])
@pytest.mark.parametrize(("codes", "positions"), [(3, 4), (1, 3), (5, 1)])
def test_probabilities_of_all_rows_of_codes_add_up_to_one(block, codes, positions):
    log_p = prior(codes, positions, block=block).log_prob(every(codes, positions)).double()
    assert float(log_p.exp().sum()) == pytest.approx(1.0, abs=1e-5)
    if codes > 1:
        assert float(log_p.max() - log_p.min()) > 0.5


def test_a_code_is_said_from_those_before_it_only():
    model, codes = prior(4, 6), torch.randint(4, (5, 6), generator=generator())
    later = codes.clone()
    later[:, 3] = (later[:, 3] + 1) % 4
    one, other = model.logits(codes), model.logits(later)
    assert torch.equal(one[:, :4], other[:, :4])
    assert (one[:, 4:] - other[:, 4:]).abs().amax(dim=2).min() > 1e-4


def test_the_loss_is_minus_log_p_in_nats_a_row(monkeypatch):
    model, codes = prior(4, 6), torch.randint(4, (9, 6), generator=generator())
    loss = model.trainer(Examples(codes)).loss(Examples(codes), Step(number=0, planned=1), generator())
    value = loss.value.detach()
    by_hand = torch.log_softmax(model.logits(codes), dim=2).gather(2, codes.unsqueeze(2)).sum(dim=(1, 2))
    assert torch.allclose(model.log_prob(codes), by_hand, atol=1e-5)
    assert float(value) == pytest.approx(-float(by_hand.mean()), rel=1e-5)
    assert float(loss.terms["nats_per_code"].detach()) == pytest.approx(float(value) / 6)
    whole = model.log_prob(codes)
    monkeypatch.setattr(sys.modules["foldin.generative.code_prior"], "_TOKENS", 12)
    assert torch.allclose(model.log_prob(codes), whole, atol=1e-5)
    assert model.log_prob(codes[:0]).shape == (0,)


def test_independent_codes_of_known_shares_cost_their_entropy():
    shares = torch.tensor([0.5, 0.25, 0.125, 0.125])
    rows = torch.multinomial(shares, 4000 * 4, replacement=True, generator=generator()).view(4000, 4)
    model = trained(rows[:3000], 4, epochs=2, learning_rate=3e-3, n_layers=1)
    bits = -model.log_prob(rows[3000:]).double().mean() / (4 * math.log(2))
    own = -shares.log2()[rows[3000:]].double().mean()  # of these rows, not of the shares: their draw is known too
    assert float(own) == pytest.approx(1.75, abs=0.03)
    assert float(bits) == pytest.approx(float(own), abs=0.02)


def test_a_code_that_repeats_the_one_before_costs_nothing_more():
    first = torch.arange(600).remainder(4).unsqueeze(1)
    model = trained(first.expand(-1, 5).contiguous(), 4, epochs=20, learning_rate=5e-3, n_layers=1, batch_size=32)
    each = model.log_prob(every(4, 1).expand(-1, 5)) / math.log(2)
    assert torch.allclose(each, torch.full((4,), -2.0), atol=0.15)


def test_draws_read_one_code_at_a_time_and_agree_with_the_whole_row(monkeypatch):
    model, seen = prior(5, 7), []
    begin, extend = model.encoder.begin, model.encoder.extend

    def watched(call):
        def run(event, *cache):
            assert event.items.shape == (20, 1)
            states, after = call(event, *cache)
            seen.append((call.__name__, states))
            return states, after

        return run

    monkeypatch.setattr(model.encoder, "begin", watched(begin))
    monkeypatch.setattr(model.encoder, "extend", watched(extend))
    drawn = model.sample(20, generator())
    assert [name for name, _ in seen] == ["begin"] + ["extend"] * 6
    step_by_step = torch.cat([states for _, states in seen], dim=1) @ model.weight.t() + model.bias
    assert torch.allclose(step_by_step, model.logits(drawn), atol=1e-4)


def test_draws_have_the_probabilities_that_are_said():
    model, rows = prior(2, 3), every(2, 3)
    drawn = model.sample(20_000, generator(4))
    found = torch.bincount(drawn @ torch.tensor([4, 2, 1]), minlength=8) / 20_000
    said = model.log_prob(rows).exp()
    # Four standard errors of a share.
    assert ((found - said).abs() <= 4 * (said * (1 - said) / 20_000).sqrt()).all()


def test_a_low_temperature_takes_the_likeliest_code_each_time():
    model = prior(5, 6)
    drawn = model.sample(3, generator(), temperature=1e-4)
    assert torch.equal(drawn, model.logits(drawn).argmax(dim=2))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(model.sample(3, generator(), temperature=3.0)[0], drawn[0])


def test_draws_are_those_of_the_generator():
    model = prior()
    assert torch.equal(model.sample(6, generator(1)), model.sample(6, generator(1)))
    assert not torch.equal(model.sample(6, generator(1)), model.sample(6, generator(2)))


def test_training_that_was_stopped_goes_on_to_the_same_bits(tmp_path):
    rows = Examples(torch.randint(4, (90, 5), generator=generator()))
    config = CodePriorConfig(codebook_size=4, **(SMALL | {"dropout": 0.1}), epochs=4, batch_size=32)
    whole, parts = CodePrior((5,), config, seed=1), CodePrior((5,), config, seed=1)
    fit(whole, rows, seed=3)
    fit(parts, rows, seed=3, folder=tmp_path, until=lambda record: record.epoch == 2)
    again = CodePrior((5,), config, seed=8)
    assert len(fit(again, rows, seed=3, folder=tmp_path, resume=True).records) == 4
    assert all(torch.equal(value, again.state()[name]) for name, value in whole.state().items())


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (torch.zeros(2, 5, dtype=torch.int64), r"\(rows, 4\) of int64 was expected, not \(2, 5\)"),
        (torch.zeros(2, 4), "not .2, 4. of torch.float32"),
        (torch.full((2, 4), 3), r"codes must be in \[0, 3\), met 3 to 3"),
        (torch.full((2, 4), -1), "met -1 to -1"),
    ],
)
def test_other_codes_are_refused(rows, says):
    model = prior()
    with pytest.raises(ShapeError, match=says):
        fit(model, Examples(rows))
    if not rows.is_floating_point():
        with pytest.raises(ShapeError, match=says):
            model.log_prob(rows)


def test_bad_settings_are_one_clear_error():
    with pytest.raises(ConfigError, match="n_heads = 3: must divide embedding_dim = 16"):
        CodePriorConfig(embedding_dim=16, n_heads=3)
    for shape in ((), (0,), (4, 4)):
        with pytest.raises(ShapeError, match="one axis of one position at least"):
            CodePrior(shape)
    for n, temperature in ((0, 1.0), (1, 0.0), (1, math.nan)):
        with pytest.raises(ConfigError, match="temperature > 0"):
            prior().sample(n, generator(), temperature=temperature)
    with pytest.raises(FitError, match="nothing to train on"):
        fit(prior(), Examples(torch.zeros(0, 4, dtype=torch.int64)))
