"""Semantic ids: names, lists by beam search, likelihoods, and items that come after training."""

import dataclasses

import numpy as np
import polars as pl
import pytest
import torch

from foldin.data import Catalog, HeldOut, Histories
from foldin.errors import ConfigError, FitError, RunError, ShapeError
from foldin.evaluation import evaluate
from foldin.models import (
    FromLog,
    FromLogAndTitles,
    FromTitles,
    RandomTokens,
    RQVAETokens,
    SemanticIds,
    SemanticIdsConfig,
)
from foldin.ranking import Beam, scores
from foldin.testing import two_tastes
from foldin.training import Progress, Step, fit
from tests.lists import recommend

ITEMS = 24
SIZES = {"levels": 2, "codebook_size": 5}
DEEP = RQVAETokens(epochs=10)
LOG, TITLES_ONLY = FromLog(**SIZES, embedding_dim=8), FromTitles(**SIZES, embedding_dim=8)
BOTH = FromLogAndTitles(**SIZES, embedding_dim=8)
SMALL = SemanticIdsConfig(tokens=LOG, embedding_dim=16, max_length=12, epochs=25, batch_tokens=200, learning_rate=0.01)
USERS = Histories.from_lists([[0, 2, 4], [1, 3], [], [7], [2, 4, 0, 6, 8, 10, 12, 14, 16, 18]], ITEMS)
TITLES = [f"{'even number' if i % 2 == 0 else 'odd thing'} {'low' if i < 12 else 'high'} {i}" for i in range(ITEMS)]


def catalog(titles: list[str]) -> Catalog:
    ids = [f"i{at}" for at in range(len(titles))]
    return Catalog(pl.DataFrame({"item": ids, "title": titles, "count": np.zeros(len(ids), dtype=np.int64)}))


def trained(**settings) -> SemanticIds:
    model = SemanticIds(ITEMS, dataclasses.replace(SMALL, **settings), seed=3)
    model.describe(catalog(TITLES))
    fit(model, two_tastes(80, ITEMS), seed=4)
    return model


@pytest.fixture(
    scope="module",
    params=[
        {"tokens": LOG},
        {"tokens": dataclasses.replace(BOTH, quantizer=DEEP)},
        {"tokens": RandomTokens(**SIZES)},
        {"tokens": TITLES_ONLY, "item_vectors": True},
    ],
    ids=["log", "both by rq-vae", "random", "titles and vectors"],
)
def model(request) -> SemanticIds:
    return trained(**request.param)


def test_every_item_has_a_name_of_its_own_and_its_use_is_reported(model):
    assert len(torch.unique(model.tokenizer.tokens, dim=0)) == ITEMS
    use = model.token_use()
    assert use.used.shape == (2,)
    assert 0 <= use.collisions <= 1
    weights, shares = model.components()
    assert np.allclose(shares.sum(axis=1), 1.0)
    assert weights.sum() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("limits", [{}, {"deny": [3, 4, 16]}, {"allow": [1, 5, 6, 8]}, {"exclude_seen": False}])
def test_a_full_beam_lists_what_scoring_everything_lists(model, limits):
    expected = recommend(model, USERS, 6, **limits)
    found = recommend(model, USERS, 6, ranker=Beam(ITEMS), **limits)
    assert np.allclose(found.scores, expected.scores, atol=1e-4)
    same = found.items == expected.items
    assert same.mean() > 0.9  # equal to the last bits, items may change places
    assert (np.sort(found.items, axis=1)[:, -1] == np.sort(expected.items, axis=1)[:, -1]).mean() > 0.7


def test_a_narrow_beam_gives_full_lists_of_allowed_items_with_exact_probabilities(model):
    narrow = {"ranker": Beam(1)}
    deny = [2, 3, 8, 9]
    found = recommend(model, USERS, 4, deny=deny, **narrow)
    every = recommend(model, USERS, ITEMS, deny=deny)
    for user, (items, values) in enumerate(zip(found.items, found.scores, strict=True)):
        assert len(set(items.tolist())) == 4
        assert not set(items.tolist()) & set(deny)
        assert not set(items.tolist()) & set(USERS.items[USERS.offsets[user] : USERS.offsets[user + 1]].tolist())
        for item, score in zip(items, values, strict=True):
            place = np.flatnonzero(every.items[user] == item)[0]
            assert score == pytest.approx(every.scores[user, place], abs=1e-4)
    first = recommend(model, USERS, 1, exclude_seen=False, **narrow).items[:, 0]
    seen = Histories.from_lists([[int(item)] for item in first], ITEMS)
    other, exact = (recommend(model, USERS, 3, seen=seen, **how) for how in (narrow, {}))
    assert not (other.items == first[:, None]).any()
    assert np.array_equal(other.items[2], exact.items[2])  # nobody's history: the training counts


def test_what_is_left_after_nearly_everything_is_not_lost_to_rounding(model):
    every = scores(model, USERS)[:1]
    least = every[0].argsort()[:3].tolist()
    for limits in ({"allow": least}, {"deny": [item for item in range(ITEMS) if item not in least]}):
        found = recommend(model, USERS.rows(0, 1), 3, exclude_seen=False, ranker=Beam(ITEMS), **limits)
        expected = torch.log_softmax(every[0][torch.from_numpy(found.items[0])].double(), 0)
        assert np.allclose(found.scores[0], expected.numpy(), atol=1e-4)
    taken = Histories.from_lists([[item for item in range(ITEMS) if item not in least]], ITEMS)
    sharp = SemanticIds(ITEMS, model.config)
    sharp.load_state(model.state())
    with torch.no_grad():
        sharp.decoder.bias.mul_(40.0)
        sharp.encoder.items.mul_(4.0)
    wide = recommend(sharp, USERS.rows(0, 1), 3, seen=taken, ranker=Beam(ITEMS))
    assert np.exp(wide.scores.astype(np.float64)).sum() == pytest.approx(1.0, abs=1e-3)


def test_a_beam_checks_what_it_is_given(model):
    narrow = {"ranker": Beam(2)}
    with pytest.raises(ShapeError, match="k must be at least 1"):
        recommend(model, USERS, 0, **narrow)
    with pytest.raises(ShapeError, match="deny"):
        recommend(model, USERS, 2, deny=[ITEMS], **narrow)
    with pytest.raises(ShapeError, match="histories are over"):
        recommend(model, Histories.empty(1, 3), 2, **narrow)
    everything = Histories.from_lists([list(range(ITEMS))], ITEMS)
    for found in (recommend(model, everything, 2, **narrow), recommend(model, USERS, 2, allow=[], **narrow)):
        assert (found.items == -1).all()
        assert (found.scores == -np.inf).all()
    with pytest.raises(ShapeError, match=r"of 1 users over .* items, the histories of 5"):
        recommend(model, USERS, 2, seen=everything, **narrow)
    with pytest.raises(ShapeError, match=r"of 1 users over .* items, the histories of 5"):
        recommend(model, USERS, 2, seen=everything)
    assert recommend(model, Histories.empty(0, ITEMS), 2, **narrow).items.shape == (0, 2)


def test_the_loss_is_the_mean_of_log_p_of_the_next_items():
    model = trained(dropout=0.0)
    lists = [[0, 2], [1, 3], [4, 18]]  # places count from the newest event: of longer histories one prefix alone
    batch = Histories.from_lists(lists, ITEMS)
    loss = model.trainer(batch).loss(batch, Step(0, 1), torch.Generator())
    before, targets = [row[:1] for row in lists], [row[1] for row in lists]
    found = scores(model, Histories.from_lists(before, ITEMS))
    expected = -found[torch.arange(len(targets)), torch.tensor(targets)].mean()
    assert loss.value.item() == pytest.approx(float(expected), abs=1e-4)
    assert loss.value.item() == pytest.approx(float(sum(loss.terms.values())), abs=1e-5)


def test_learning_among_all_codes_counts_codes_that_do_not_exist():
    model = trained(dropout=0.0)
    free = SemanticIds(ITEMS, dataclasses.replace(model.config, constrained=False))
    free.load_state(model.state())
    batch = Histories.from_lists([[0, 2, 4, 6]], ITEMS)
    losses = [one.trainer(batch).loss(batch, Step(0, 1), torch.Generator()).value.item() for one in (free, model)]
    assert losses[0] > losses[1]
    assert torch.equal(scores(free, USERS), scores(model, USERS))


@pytest.mark.parametrize(
    "settings", [{"tokens": TITLES_ONLY}, {"tokens": BOTH}, {"tokens": TITLES_ONLY, "item_vectors": True}]
)
def test_an_item_that_comes_after_training_is_named_by_its_title_and_recommended(settings):
    model = trained(**settings, epochs=40)
    grown = model.with_items(["even number low 24", "odd thing high 25"])
    assert grown.n_items == ITEMS + 2
    assert torch.equal(grown.tokenizer.tokens[:ITEMS], model.tokenizer.tokens)
    assert len(torch.unique(grown.tokenizer.tokens, dim=0)) == ITEMS + 2
    users = Histories.from_lists([[0, 2, 4, 6, 8, 10], [13, 15, 17, 19]], ITEMS + 2)
    found = scores(grown, users)
    assert torch.allclose(found.exp().sum(1), torch.ones(2), atol=1e-5)
    assert found[0, 24] > found[0, 25]
    assert found[1, 25] > found[1, 24]
    assert model.with_items([]).n_items == ITEMS
    again = grown.with_items(["even number low 26"])
    assert again.n_items == ITEMS + 3
    assert scores(grown, Histories.empty(1, ITEMS + 2))[0, 24] == scores(grown, Histories.empty(1, ITEMS + 2))[0].min()


def test_names_that_titles_say_nothing_of_cannot_be_given_to_new_items():
    for model in (trained(epochs=1), trained(tokens=RandomTokens(**SIZES), epochs=1)):
        with pytest.raises(ConfigError, match="only tokens from titles"):
            model.with_items(["a title"])


def test_an_item_that_nobody_took_is_named_by_its_title_beside_the_log():
    model = SemanticIds(ITEMS, dataclasses.replace(SMALL, tokens=BOTH))
    titles = ["even number" if i % 2 == 0 else "odd thing" for i in range(ITEMS)]
    model.describe(catalog(titles))
    fit(model, two_tastes(80, ITEMS - 2).reindex(np.arange(ITEMS - 2), ITEMS), epochs=1)
    first = model.tokenizer.tokens[:, 0]
    even, odd = set(first[:-2:2].tolist()), set(first[1:-2:2].tolist())
    assert not even & odd
    assert first[-2].item() in even
    assert first[-1].item() in odd
    other = SemanticIds(ITEMS, model.config)
    other.load_state(model.state())
    new = ["even number", "odd thing"]
    assert torch.equal(other.with_items(new).tokenizer.tokens, model.with_items(new).tokenizer.tokens)
    assert model.with_items(new).tokenizer.tokens[-2:, 0].tolist() == first[-2:].tolist()


def test_ctrl_c_while_names_are_learned_stops_the_whole_training(monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("foldin.generative.rqvae._Training.loss", stop)
    model = SemanticIds(ITEMS, dataclasses.replace(SMALL, tokens=dataclasses.replace(LOG, quantizer=RQVAETokens())))
    with pytest.raises(KeyboardInterrupt):
        fit(model, two_tastes(80, ITEMS))


def test_names_are_learned_with_progress_and_resumed_where_they_stood(tmp_path):
    config = dataclasses.replace(SMALL, tokens=dataclasses.replace(LOG, quantizer=RQVAETokens(epochs=6)), epochs=2)
    train = two_tastes(80, ITEMS)
    whole = SemanticIds(ITEMS, config)
    fit(whole, train)

    class Told(Progress):
        def __init__(self, stop_at: int) -> None:
            self.stop_at, self.of, self.epochs = stop_at, "", {"": [], "name": []}

        def pretraining(self, name):
            self.of = name

        def epoch(self, record):
            self.epochs[self.of].append(record.epoch)
            if self.of and record.epoch == self.stop_at:
                raise KeyboardInterrupt

    first, second = Told(4), Told(0)
    with pytest.raises(KeyboardInterrupt):
        fit(SemanticIds(ITEMS, config), train, folder=tmp_path, progress=first)
    assert first.epochs == {"": [], "name": [1, 2, 3, 4]}
    wider = SemanticIds(ITEMS, dataclasses.replace(config, embedding_dim=32))
    with pytest.raises(RunError, match="trained with another config of the model itself"):
        fit(wider, train, folder=tmp_path, resume=True)
    with pytest.raises(RunError, match="trained with another stage"):
        fit(
            SemanticIds(ITEMS, dataclasses.replace(config, tokens=RandomTokens(**SIZES))),
            train,
            folder=tmp_path,
            resume=True,
        )
    resumed = SemanticIds(ITEMS, config, seed=0)
    fit(resumed, train, folder=tmp_path, resume=True, progress=second)
    assert second.epochs == {"": [1, 2], "name": [5, 6]}
    assert all(torch.equal(value, resumed.state()[name]) for name, value in whole.state().items())
    once = tmp_path / "once"
    once.mkdir()
    fit(SemanticIds(ITEMS, config), train, folder=once, epochs=1)
    assert not list(once.iterdir())


def test_the_first_record_tells_how_names_came_out():
    model = SemanticIds(ITEMS, SMALL)
    terms = [record.terms for record in fit(model, two_tastes(80, ITEMS), epochs=2).records]
    assert terms[0]["name/collisions"] == pytest.approx(model.token_use().collisions)
    assert "name/collisions" not in terms[1]


def test_titles_must_be_there_before_training():
    model = SemanticIds(ITEMS, dataclasses.replace(SMALL, tokens=TITLES_ONLY))
    model.describe(Catalog.from_ids([f"i{at}" for at in range(ITEMS)]))
    with pytest.raises(FitError, match="need the items' titles"):
        fit(model, two_tastes(80, ITEMS))
    with pytest.raises(FitError, match="no tokens before training"):
        scores(model, USERS)
    with pytest.raises(FitError, match="no tokens before training"):
        model.with_items(["a title"])
    with pytest.raises(ShapeError, match="knows 24 items, the catalog 23"):
        model.describe(catalog(TITLES[:-1]))
    with pytest.raises(ConfigError, match="a list of titles"):
        model.with_items("a title")
    with pytest.raises(FitError, match="no user has two events"):
        fit(SemanticIds(ITEMS, SMALL), Histories.from_lists([[1], [2]], ITEMS))
    with pytest.raises(ConfigError, match="must divide"):
        SemanticIdsConfig(embedding_dim=6, n_heads=4)


def test_metrics_are_by_item_where_codes_collide(model):
    codes = model.tokenizer.tokens[:, :-1]
    alike = next(
        (a, b) for a in range(ITEMS) for b in range(ITEMS) if a != b and torch.equal(codes[a], codes[b])
    )  # 24 items under 25 codes: some share theirs
    lists = recommend(model, Histories.empty(1, ITEMS), ITEMS, allow=list(alike)).items[0, :2].tolist()
    assert sorted(lists) == sorted(alike)
    others = [i for i in range(ITEMS) if i not in alike]
    held = HeldOut(
        fold_in=Histories.empty(1, ITEMS),
        targets=Histories.from_lists([[lists[1]]], ITEMS),
        users=pl.Series(["u"]),
        seen=Histories.from_lists([others], ITEMS),
    )
    found = evaluate(model, held, metrics=("recall@1", "recall@2", "mrr@2"))
    # Its namesake stands first: by codes the target would be found there.
    assert [float(found.values(m)[0]) for m in ("recall@1", "recall@2", "mrr@2")] == [0.0, 1.0, 0.5]
