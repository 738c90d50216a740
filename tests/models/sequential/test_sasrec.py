from dataclasses import replace

import numpy as np
import pytest
import torch

from foldin.data import Catalog, Histories
from foldin.errors import ConfigError, FitError, ShapeError, UnknownItemError
from foldin.models import Attention, SASRec, SASRecConfig
from foldin.models.negatives import UniformNegatives
from foldin.models.sequential.losses import FullSoftmax, SampledSoftmax
from foldin.ranking import scores
from foldin.testing import two_tastes
from foldin.training import Step, falling, fit
from tests.lists import recommend

ITEMS = 12
SMALL = {"embedding_dim": 16, "max_length": 10, "batch_tokens": 50, "learning_rate": 0.01, "epochs": 25, "dropout": 0.0}


def alternating(users: int = 40, seed: int = 0, times: bool = False) -> Histories:
    """Users who alternate between two neighboring items: after 4 comes 5, after 5 comes 4."""
    rng = np.random.default_rng(seed)
    lists = []
    for _ in range(users):
        first = int(rng.integers(ITEMS // 2)) * 2
        pair = [first, first + 1] if rng.random() < 0.5 else [first + 1, first]
        lists.append(pair * int(rng.integers(2, 9)))
    made = Histories.from_lists(lists, ITEMS)
    return timed(made) if times else made


def timed(histories: Histories, step: int = 60) -> Histories:
    times = np.concatenate([np.arange(n) * step for n in histories.lengths])
    return Histories(
        items=histories.items, offsets=histories.offsets, n_items=histories.n_items, times=times.astype(np.int64)
    )


def trained(train: Histories | None = None, **settings) -> SASRec:
    model = SASRec(ITEMS, SASRecConfig().with_settings({**SMALL, **settings}), seed=1)
    fit(model, alternating() if train is None else train, seed=1)
    return model


QUESTIONS = Histories.from_lists([[4, 5, 4], [5, 4, 5, 4, 5], [9, 8, 9, 8]], ITEMS)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"block": "gated", "expansion": 2, "n_heads": 2},
        {"positions": "rotary"},
        {"positions": "relative"},
        {"positions": None},
        {"positions.origin": "oldest", "block": "authors", "initial_sd": 0.1, "epochs": 60},
        {"temperature": 0.1},
        {"dropout": 0.1, "mixer": Attention(dropout=0.1)},
        {"loss": "gbce", "loss.n_negatives": 5},
        {"loss": "sampled", "loss.negatives.n": 50},
        {"loss": "sampled", "loss.negatives": "popularity", "loss.negatives.n": 50},
        {"loss": "sampled", "loss.negatives": "batch"},
    ],
    ids=str,
)
def test_who_alternates_between_two_items_gets_the_other_one_next(settings):
    model = trained(**settings)
    found = recommend(model, QUESTIONS, 1, exclude_seen=False)
    assert found.items[:, 0].tolist() == [5, 4, 9]
    if settings.get("loss") != "gbce":  # which does not learn a probability
        assert (np.exp(found.scores[:, 0]) > 0.8).all()


def test_bce_learns_what_follows():
    """Users walk four steps along a circle: BCE's negatives, which the user does not have, tell the next one."""
    rng = np.random.default_rng(0)
    walks = [[(start + step) % ITEMS for step in range(4)] for start in rng.integers(0, ITEMS, 60).tolist()]
    model = trained(Histories.from_lists(walks, ITEMS), loss="bce", epochs=60)
    asked = Histories.from_lists([[start, start + 1] for start in range(ITEMS - 2)], ITEMS)
    assert recommend(model, asked, 1).items[:, 0].tolist() == list(range(2, ITEMS))


def test_time_between_events_is_looked_at():
    """After a short pause the user stays in the pair, after a long one they leave for item 0 or 1."""
    rng = np.random.default_rng(0)
    lists, times = [], []
    for _ in range(200):
        pair = int(rng.integers(1, ITEMS // 2)) * 2
        long = rng.random() < 0.5
        lists.append([pair, pair + 1, 0 if long else pair])
        times += [0, 10**6 if long else 60, (10**6 if long else 60) + 1]
    train = Histories(
        items=np.concatenate(lists).astype(np.int32),
        offsets=np.arange(0, 601, 3),
        n_items=ITEMS,
        times=np.array(times, np.int64),
    )
    model = trained(train, timed=True, epochs=40)
    asked = [
        Histories(items=np.array([4, 5], np.int32), offsets=np.array([0, 2]), n_items=ITEMS, times=np.array([0, pause]))
        for pause in (60, 10**6)
    ]
    found = [recommend(model, one, 1, exclude_seen=False).items[0, 0] for one in asked]
    assert found == [4, 0]
    plain = Histories(items=asked[0].items, offsets=asked[0].offsets, n_items=ITEMS)
    for moment in (0, 1_600_000_000):  # without times a history is read as of one moment, whichever
        at_once = replace(plain, times=np.full(2, moment))
        assert torch.allclose(scores(model, plain), scores(model, at_once), atol=1e-6)
    assert not torch.allclose(scores(model, plain), scores(model, asked[1]), atol=1e-2)


def test_times_that_the_log_lacks_are_said_before_training():
    config = SASRecConfig(timed=True, embedding_dim=8, epochs=1)
    with pytest.raises(FitError, match=r"needs the times of the events, and this log has none; name their column"):
        fit(SASRec(ITEMS, config), alternating())
    for wrong in (Histories.empty(3, ITEMS), Histories.empty(0, ITEMS)):
        with pytest.raises(FitError, match="no user to train on"):
            SASRec(ITEMS, config).check_training(wrong)


def test_a_later_event_does_not_change_what_is_learned_from_earlier_ones():
    """The loss at each place is that of the shorter history: nothing of the target is seen."""
    model = trained(epochs=2, positions="rotary")
    whole = QUESTIONS.rows(1, 2)
    states = model.encoder(_sequence(model, whole))
    for n in range(1, 6):
        part = Histories.from_lists([whole.of(0)[:n]], ITEMS)
        assert torch.allclose(model.queries(part)[0], states[0, n - 1], atol=1e-5)


def _sequence(model, histories):
    from foldin.nn import newest

    return newest(histories, model.config.max_length, torch.device("cpu"))


def test_training_and_serving_put_an_event_in_the_same_place():
    model = trained(epochs=1)
    from foldin.nn import transitions

    history = [3, 1, 4, 1, 5, 9, 2, 6]
    given, _ = transitions(Histories.from_lists([history], ITEMS), model.config.max_length, torch.device("cpu"))
    in_training = model.encoder(given)[0, -1]
    assert torch.allclose(in_training, model.queries(Histories.from_lists([history[:-1]], ITEMS))[0], atol=1e-6)


@pytest.mark.parametrize("loss", [FullSoftmax(), SampledSoftmax(negatives=UniformNegatives(n=20))])
def test_users_together_lose_what_they_lose_alone(loss):
    """Neither the filling nor the others in a batch change anybody's loss."""
    model = SASRec(ITEMS, SASRecConfig(**SMALL, loss=loss), seed=3)
    users = Histories.from_lists([[1, 2, 3, 4, 5, 6, 7], [8, 9], list(range(12)), [3, 3, 1]], ITEMS)
    step = Step(number=0, planned=1)
    generator = lambda: torch.Generator().manual_seed(0)  # the same negatives each time
    together = model.trainer(users).loss(users, step, generator()).value
    tokens = np.minimum(users.lengths - 1, model.config.max_length)
    alone = [model.trainer(users).loss(users.rows(u, u + 1), step, generator()).value.item() for u in range(len(users))]
    assert together.item() == pytest.approx(np.average(alone, weights=tokens), rel=1e-5)


def test_only_the_newest_events_are_read():
    model = trained(epochs=1)
    long = Histories.from_lists([[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11] * 2], ITEMS)
    short = Histories.from_lists([long.of(0)[-10:]], ITEMS)
    assert torch.equal(scores(model, long), scores(model, short))


def test_initial_weights_have_the_standard_deviation_asked_for():
    model = SASRec(500, SASRecConfig(embedding_dim=32, initial_sd=0.03, block="gated"), seed=0)
    for name, weights in model.encoder.named_parameters():
        if weights.dim() == 2:
            assert float(weights.detach().std()) == pytest.approx(0.03, rel=0.1), name
        elif "norm" in name and name.endswith("weight"):
            assert (weights == 1).all(), name
        else:
            assert (weights == 0).all(), name


def test_an_empty_history_gets_the_training_counts():
    model = trained(epochs=1)
    counts = alternating().counts() + 1.0
    found = scores(model, Histories.empty(1, ITEMS))[0].exp().numpy()
    assert np.allclose(found, counts / counts.sum(), atol=1e-6)


@pytest.mark.parametrize("positions", ["rotary", "relative", None, "learned", "oldest"])
@pytest.mark.parametrize("temperature", [None, 0.2])
def test_reading_on_gives_what_reading_everything_gives(positions, temperature):
    chosen = {"positions.origin": "oldest"} if positions == "oldest" else {"positions": positions}
    model = trained(epochs=2, **chosen, temperature=temperature)
    rng = np.random.default_rng(1)
    start, later = QUESTIONS, rng.integers(0, ITEMS, (9, 3))
    reading = model.read(start)
    assert (reading.cache is None) == (positions == "learned")
    for row in later:  # past the longest sequence that is read
        reading = model.extend(reading, Histories.from_lists([[int(item)] for item in row], ITEMS))
        assert torch.allclose(model.next_logits(reading), model.logits(reading.histories), atol=1e-4)
    assert reading.histories.lengths.tolist() == [12, 14, 13]


def test_reading_on_from_nothing_and_with_times():
    model = trained(alternating(times=True), epochs=2, positions="rotary", timed=True)
    nothing = Histories(
        items=np.empty(0, np.int32), offsets=np.zeros(2, np.int64), n_items=ITEMS, times=np.empty(0, np.int64)
    )
    reading = model.read(nothing)
    for step, item in enumerate((4, 5, 4)):
        event = Histories(
            items=np.array([item], np.int32), offsets=np.array([0, 1]), n_items=ITEMS, times=np.array([1000 * step])
        )
        reading = model.extend(reading, event)
        assert torch.allclose(model.next_logits(reading), model.logits(reading.histories), atol=1e-5)
    without = Histories(items=np.array([5], np.int32), offsets=np.array([0, 1]), n_items=ITEMS)
    for later in (without, without):  # times that only some events have are left out of all
        reading = model.extend(reading, later)
        assert torch.allclose(model.next_logits(reading), model.logits(reading.histories), atol=1e-5)
    with pytest.raises(ShapeError, match="one event of each user"):
        model.extend(reading, nothing)


def test_the_learning_rate_falls_over_its_share_of_the_steps():
    model = SASRec(ITEMS, SASRecConfig(**{**SMALL, "lr_decay": 0.5}))
    rate = model.trainer(two_tastes(4, ITEMS)).phases[0].learning_rate
    rates = [rate(Step(number=n, planned=100)) for n in (0, 50, 75, 99)]
    assert rates == pytest.approx([0.01, 0.01, 0.005, 0.0002])
    assert falling(0.01, 0.0)(Step(number=99, planned=100)) == 0.01


def test_a_large_catalog_is_sampled_by_itself(monkeypatch):
    monkeypatch.setattr("foldin.models.sequential.sasrec._FULL_SOFTMAX_ITEMS", 5)
    called = []
    monkeypatch.setattr(
        "foldin.models.sequential.losses.softmax_cross_entropy",
        lambda *a: called.append(a) or torch.zeros((), requires_grad=True),
    )
    trained(epochs=1)
    assert not called


def test_a_resumed_training_ends_bit_equal(tmp_path):
    settings = SASRecConfig(**{**SMALL, "dropout": 0.3, "mixer": Attention(dropout=0.1)})
    whole, parts = SASRec(ITEMS, settings, seed=1), SASRec(ITEMS, settings, seed=1)
    fit(whole, alternating(), seed=1)
    fit(parts, alternating(), seed=1, folder=tmp_path, until=lambda record: record.epoch == 4)
    again = SASRec(ITEMS, settings, seed=1)
    fit(again, alternating(), seed=1, folder=tmp_path, resume=True)
    assert not torch.equal(parts.encoder.items, whole.encoder.items)
    assert all(torch.equal(value, again.state()[name]) for name, value in whole.state().items())


def test_what_cannot_be_trained_or_asked_is_refused():
    with pytest.raises(FitError, match="no user has two events"):
        fit(SASRec(ITEMS, SASRecConfig(**SMALL)), Histories.from_lists([[1], [], [2]], ITEMS))
    with pytest.raises(ConfigError, match="n_heads = 3: must divide embedding_dim = 16"):
        SASRecConfig(embedding_dim=16, n_heads=3)
    with pytest.raises(ShapeError, match=r"item indices must be in \[0, 12\), met 12 to 12"):
        Histories.from_lists([[12]], ITEMS)
    with pytest.raises(UnknownItemError, match="not in the catalog of 12 items: 'i99'"):
        Catalog.from_ids([f"i{k}" for k in range(ITEMS)]).indices(["i99"])


def test_items_may_be_sums_of_codes():
    config = SASRecConfig(
        codebook_size=6, embedding_dim=16, max_length=12, epochs=30, batch_tokens=200, learning_rate=0.01
    )
    model = SASRec(20, config, seed=5)
    fit(model, two_tastes(60, 20), seed=5)
    assert model.encoder.items.shape == (4 * 6, 16)
    vectors = model.item_vectors()[0]
    by_hand = sum(model.encoder.items[level * 6 + model.tokenizer.tokens[:, level]] for level in range(4))
    assert torch.allclose(vectors, by_hand.detach())
    lists = recommend(model, Histories.from_lists([[0, 2, 4], [1, 3, 5]], 20), 3).items
    assert (lists[0] % 2 == 0).all()
    assert (lists[1] % 2 == 1).all()
    other = SASRec(20, config, seed=9)
    other.load_state(model.state())
    users = Histories.from_lists([[0, 2], [], [7]], 20)
    assert torch.equal(scores(other, users), scores(model, users))
    rectangle = torch.tensor([[0, 2], [-1, -1], [7, -1]])
    assert torch.allclose(torch.log_softmax(model.padded_logits(rectangle), 1), scores(model, users), atol=1e-5)
