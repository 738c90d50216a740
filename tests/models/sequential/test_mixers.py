"""What holds for every mixer: no event sees a later one, nor padding or other users, and one event at a time is enough."""

import numpy as np
import pytest
import torch

from foldin.data import Histories
from foldin.errors import ConfigError
from foldin.models import (
    Attention,
    FrequencyBias,
    GatedAttention,
    LinearRecurrence,
    OnnxGraph,
    SASRec,
    SASRecConfig,
    has_capability,
)
from foldin.nn import SelfAttention, Transformer, TransformerShape, newest
from foldin.ranking import scores
from foldin.training import Step, fit
from tests.lists import recommend
from tests.models.sequential.test_sasrec import ITEMS, QUESTIONS, SMALL, alternating

CPU = torch.device("cpu")
MIXERS = {
    "attention": Attention(),
    "frequency": FrequencyBias(alpha=0.4, cutoff=2),
    "recurrence": LinearRecurrence(),
    "gated": GatedAttention(),
    "gated, feed-forward": GatedAttention(feed_forward=True),
}
TIMES = torch.tensor([[1, 5, 70, 3000, 3600, 90_000], [2, 2, 3, 4, 10**6, 10**8]])


@pytest.fixture(params=MIXERS)
def mixer(request):
    return MIXERS[request.param]


@pytest.fixture(params=["plain", "authors", "gated"])
def transformer(request, mixer) -> Transformer:
    shape = TransformerShape(
        width=8, heads=2, blocks=2, length=9, block=request.param, timed=mixer.attends, mixer=mixer.layer
    )
    made = Transformer(shape, generator=torch.Generator().manual_seed(0), device=CPU).double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in made.named_parameters():
            if "bias" in name:  # they begin at zero, where they do nothing
                value.normal_(generator=generator)
    return made


def tokens(length: int = 6, seed: int = 2) -> torch.Tensor:
    return torch.randn(2, length, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_an_event_depends_on_those_before_it_and_on_no_later_one(transformer):
    x = tokens().requires_grad_()
    states = transformer(x, TIMES)
    for at in range(6):
        seen = torch.autograd.grad(states[:, at].square().sum(), x, retain_graph=True)[0].abs().sum(dim=2)
        assert (seen[:, at + 1 :] == 0).all()
        assert (seen[:, : at + 1] > 0).all()


def test_whatever_comes_later_leaves_every_earlier_state_equal(transformer):
    x, states = tokens(), transformer(tokens(), TIMES)
    for at in range(1, 6):
        other, times = x.clone(), TIMES.clone()
        other[:, at:], times[:, at:] = 1e3 * tokens(seed=9)[:, at:], times[:, at:] + 12_345
        later = transformer(other, times)
        assert torch.allclose(later[:, :at], states[:, :at], atol=1e-12)
        assert not torch.allclose(later[:, at:], states[:, at:], atol=1e-2)


def test_neither_padding_nor_other_users_change_a_state(transformer):
    x, whole = tokens(), transformer(tokens(), TIMES)
    for user, length in ((0, 2), (1, 5)):
        alone = transformer(x[user : user + 1, :length], TIMES[user : user + 1, :length])
        assert torch.allclose(whole[user, :length], alone[0], atol=1e-12)


def test_one_event_at_a_time_gives_what_all_at_once_give(transformer):
    x, lengths, rows = tokens(), torch.tensor([1, 4]), torch.arange(2)
    whole = transformer(x, TIMES)
    states, cache = transformer.begin(x[:, :4], lengths, TIMES[:, :4])
    assert torch.allclose(states, whole[:, :4], atol=1e-12)
    for more in range(2):
        at = lengths + more
        state, cache = transformer.extend(x[rows, at].unsqueeze(1), cache, TIMES[rows, at].unsqueeze(1))
        assert torch.allclose(state.squeeze(1), whole[rows, at], atol=1e-12)
    assert cache.lengths.tolist() == [3, 6]


def test_noise_is_drawn_in_training_only_and_from_its_generator_alone(mixer):
    shape = TransformerShape(width=8, length=6, dropout=0.3, attention_dropout=0.3, mixer=mixer.layer)
    model = Transformer(shape, generator=torch.Generator().manual_seed(0), device=CPU)
    x, before = tokens().float(), torch.get_rng_state()
    draw = lambda seed: model(x, None, torch.Generator().manual_seed(seed))
    assert torch.equal(draw(0), draw(0))
    assert not torch.allclose(draw(0), draw(1))
    assert torch.equal(model(x), model(x))
    assert torch.equal(before, torch.get_rng_state())


@pytest.fixture(scope="module", params=[name for name in MIXERS if name != "attention"])
def trained(request) -> SASRec:
    settings = {**SMALL, "positions": None, "n_heads": 2, "epochs": 14}
    model = SASRec(ITEMS, SASRecConfig(**settings, mixer=MIXERS[request.param]), seed=1)
    fit(model, alternating(), seed=1)
    return model


def test_who_alternates_between_two_items_gets_the_other_one_next(trained):
    found = recommend(trained, QUESTIONS, 1, exclude_seen=False)
    assert found.items[:, 0].tolist() == [5, 4, 9]
    assert (np.exp(found.scores[:, 0]) > 0.8).all()


def test_the_state_of_each_event_is_that_of_the_shorter_history(trained):
    whole = QUESTIONS.rows(1, 2)
    states = trained.encoder(newest(whole, trained.config.max_length, CPU))
    for n in range(1, 6):
        part = Histories.from_lists([whole.of(0)[:n]], ITEMS)
        assert torch.allclose(trained.queries(part)[0], states[0, n - 1], atol=1e-5)


def test_users_together_lose_what_they_lose_alone(trained):
    users = Histories.from_lists([[1, 2, 3, 4, 5, 6, 7], [8, 9], list(range(12)), [3, 3, 1]], ITEMS)
    loss = lambda part: trained.trainer(users).loss(part, Step(number=0, planned=1), torch.Generator()).value.item()
    alone = [loss(users.rows(u, u + 1)) for u in range(len(users))]
    tokens = np.minimum(users.lengths - 1, trained.config.max_length)
    assert loss(users) == pytest.approx(np.average(alone, weights=tokens), rel=1e-5)


def test_reading_on_gives_what_reading_everything_gives(trained):
    reading = trained.read(QUESTIONS)
    assert reading.cache is not None
    for row in np.random.default_rng(1).integers(0, ITEMS, (9, 3)):  # past the longest sequence that is read
        reading = trained.extend(reading, Histories.from_lists([[int(item)] for item in row], ITEMS))
        assert torch.allclose(trained.next_logits(reading), trained.logits(reading.histories), atol=1e-4)
    assert reading.histories.lengths.tolist() == [12, 14, 13]


def test_what_is_learned_is_kept_by_name_and_can_be_exported(trained):
    other = SASRec(ITEMS, SASRecConfig.from_dict(trained.config.as_dict()), seed=7)
    assert not torch.equal(scores(other, QUESTIONS), scores(trained, QUESTIONS))
    other.load_state(trained.state())
    assert torch.equal(scores(other, QUESTIONS), scores(trained, QUESTIONS))
    assert has_capability(trained, OnnxGraph)
    rectangle = torch.full((3, 7), -1)
    for user in range(3):
        rectangle[user, : QUESTIONS.lengths[user]] = torch.from_numpy(QUESTIONS.of(user).astype(np.int64))
    logs = torch.log_softmax(trained.padded_logits(rectangle), 1)
    assert torch.allclose(logs, scores(trained, QUESTIONS), atol=1e-5)


def test_attention_is_the_default_with_the_names_that_saved_runs_have():
    model = SASRec(ITEMS, SASRecConfig(embedding_dim=8), seed=1)
    assert isinstance(model.encoder.transformer.blocks[0].mixer, SelfAttention)
    assert {"blocks.0.queries.weight", "blocks.1.values.weight", "norm.bias"} <= model.tensors().keys()
    assert not [name for name in model.tensors() if "mixer" in name]


def test_a_mixer_is_chosen_by_name_with_its_settings():
    config = SASRecConfig().with_texts({"mixer": "frequency", "mixer.alpha": "0.2"})
    assert config.mixer == FrequencyBias(alpha=0.2)
    assert SASRecConfig.from_dict(config.as_dict()) == config


@pytest.mark.parametrize("settings", [{"timed": True}, {"positions": "rotary"}, {"positions": "relative"}], ids=str)
def test_a_recurrence_has_no_attention_for_times_and_relative_positions(settings):
    with pytest.raises(ConfigError, match=r"mixer = recurrence: has no attention .* positions = learned or none"):
        SASRecConfig().with_settings({"mixer": "recurrence", **settings})
