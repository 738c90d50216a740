"""What every recommender must do, as a class of tests to inherit from.

    from foldin.testing import RecommenderContract

    class TestMine(RecommenderContract):
        config = MineConfig(epochs=20)

pytest then trains a small model by that configuration, and asks of it what the command line, the service and an export will ask.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest
import torch

from foldin.data import Catalog, Histories
from foldin.errors import ConfigError, FitError, RunError, ShapeError
from foldin.models import (
    BoundedLikelihood,
    DotProduct,
    ItemFeatures,
    OnnxGraph,
    PosteriorSampler,
    Recommender,
    capability,
)
from foldin.ranking import Eligibility, PosteriorSample, RankedLists, WithSpread, rank, scores
from foldin.runs import load_run, save_run
from foldin.testing.histories import two_tastes
from foldin.training import Config, fit

__all__ = ["RecommenderContract"]

_ITEMS = 20
_USERS = Histories.from_lists([[0, 2, 4], [1, 3], [], [7], [2, 4, 0, 6, 8, 10, 12, 14, 16, 18]], _ITEMS)


@dataclass(frozen=True)
class _Other(Config):
    """The configuration of no model."""


def _lists(model: Recommender[Any], histories: Histories, k: int, ranker: Any = None, **eligible: Any) -> RankedLists:
    return rank(model, histories, k, ranker=ranker, eligible=Eligibility.of(histories, **eligible))


def _scores(model: Recommender[Any], histories: Histories) -> torch.Tensor:
    return scores(model, histories).cpu()


def _near(model: Recommender[Any]) -> float:
    """Largest difference of two scores that are the same number, computed in different ways."""
    return 1e-5 if model.device.type == "cpu" else 1e-3


def _repeats(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two computations of the same give the same: to the bit on the CPU, elsewhere up to the order of sums."""
    return torch.equal(one, other) if one.device.type == "cpu" else torch.allclose(one, other, rtol=1e-3, atol=1e-4)


def _catalog() -> Catalog:
    titles = [f"{'even' if at % 2 == 0 else 'odd'} {at}" for at in range(_ITEMS)]
    ids = [f"i{at}" for at in range(_ITEMS)]
    return Catalog(pl.DataFrame({"item": ids, "title": titles, "count": [1] * _ITEMS}))


class RecommenderContract:
    """Tests of one configuration.

    Args:
        config: of the model; small and quick to train, and able to learn two tastes over twenty items.
        seed: of its training.
        device: device of the model. On a GPU, where sums are taken in any order, two computations need only be close.
        personal: whether lists depend on the history.
    """

    config: ClassVar[Config]
    seed: ClassVar[int] = 5
    device: ClassVar[str] = "cpu"
    personal: ClassVar[bool] = True
    _kept: ClassVar[Recommender[Any]]

    @classmethod
    def trained(cls, seed: int | None = None) -> Recommender[Any]:
        """A model of the configuration, trained on users of two tastes; titles tell the taste to a model that reads them."""
        seed = cls.seed if seed is None else seed
        model: Recommender[Any] = cls.config.model_class(_ITEMS, cls.config, seed=seed, device=cls.device)
        featured = capability(model, ItemFeatures)
        if featured is not None:
            featured.describe(_catalog())
        fit(model, two_tastes(60, _ITEMS), seed=seed)
        return model

    @pytest.fixture
    def model(self) -> Recommender[Any]:
        """Trained once for all tests of the class."""
        kind = type(self)
        if "_kept" not in kind.__dict__:
            kind._kept = self.trained()
        return kind._kept

    def test_a_history_of_one_taste_is_given_items_of_that_taste(self, model: Recommender[Any]) -> None:
        if not self.personal:
            pytest.skip("one list for all users by design")
        lists = _lists(model, _USERS, 3).items
        assert (lists[0] % 2 == 0).all()
        assert (lists[1] % 2 == 1).all()
        assert (lists[3] % 2 == 1).all()

    def test_a_likelihood_model_is_normalized_and_others_say_so(self, model: Recommender[Any]) -> None:
        found = _scores(model, _USERS)
        assert found.shape == (5, _ITEMS)
        assert torch.isfinite(found).all()
        if model.has_likelihood:
            assert torch.allclose(found.exp().sum(1), torch.ones(5), atol=1e-5)

    def test_listed_probabilities_are_those_of_the_items_that_may_be_listed(self, model: Recommender[Any]) -> None:
        if not model.has_likelihood:
            pytest.skip("no density")
        found = _lists(model, _USERS, _ITEMS, deny=[5])
        assert np.allclose(np.exp(found.scores).sum(axis=1), 1.0, atol=1e-5)

    def test_an_unseen_user_an_empty_history_and_one_item_are_served(self, model: Recommender[Any]) -> None:
        found = _lists(model, _USERS, 4)
        assert found.items.shape == (5, 4)
        assert (found.items >= 0).all()
        assert np.isfinite(found.scores).all()

    def test_no_users_are_given_no_lists(self, model: Recommender[Any]) -> None:
        assert _lists(model, Histories.empty(0, _ITEMS), 3).items.shape == (0, 3)
        assert _scores(model, Histories.empty(0, _ITEMS)).shape == (0, _ITEMS)

    def test_a_batch_equals_one_by_one(self, model: Recommender[Any], monkeypatch: pytest.MonkeyPatch) -> None:
        together, every = _lists(model, _USERS, 6), _scores(model, _USERS)
        for user in range(len(_USERS)):
            alone = _lists(model, _USERS.rows(user, user + 1), 6)
            assert np.allclose(alone.scores[0], together.scores[user], atol=_near(model))
            assert torch.allclose(_scores(model, _USERS.rows(user, user + 1))[0], every[user], atol=_near(model))
        monkeypatch.setattr(type(model), "block", lambda self: 2)
        blocks = _lists(model, _USERS, 6)
        assert np.allclose(blocks.scores, together.scores, atol=_near(model))

    def test_logits_belong_to_the_caller(self, model: Recommender[Any]) -> None:
        first = model.logits(_USERS)
        kept = first.clone()
        model.logits(_USERS.select(np.array([4, 3, 2, 1, 0])))
        assert torch.equal(first, kept)

    def test_seen_denied_and_not_allowed_items_are_never_listed(self, model: Recommender[Any]) -> None:
        found = _lists(model, _USERS, _ITEMS, deny=[1, 2], allow=range(1, 12)).items
        for user in range(len(_USERS)):
            listed = set(found[user][found[user] >= 0].tolist())
            assert listed == set(range(1, 12)) - {1, 2} - set(_USERS.of(user).tolist())
        kept = _lists(model, _USERS, _ITEMS, exclude_seen=False).items
        assert all(set(row.tolist()) == set(range(_ITEMS)) for row in kept)

    def test_places_that_stay_empty_are_minus_one(self, model: Recommender[Any]) -> None:
        found = _lists(model, _USERS, 4, allow=[0, 3])
        assert (found.items[0] >= 0).sum() == 1
        assert (found.scores[found.items < 0] == -np.inf).all()

    def test_scores_come_with_the_item_they_belong_to_best_first(self, model: Recommender[Any]) -> None:
        found = _lists(model, _USERS, 8)
        assert (np.diff(found.scores, axis=1) <= 1e-7).all()
        assert all(len(set(row.tolist())) == 8 for row in found.items)

    def test_a_rectangle_of_items_is_scored_as_the_history_is(self, model: Recommender[Any]) -> None:
        graph = capability(model, OnnxGraph)
        if graph is None:
            pytest.skip("cannot be exported")
        history = torch.full((len(_USERS), 12), -1)
        for user in range(len(_USERS)):
            history[user, : _USERS.lengths[user]] = torch.from_numpy(_USERS.of(user))
        with torch.no_grad():
            assert torch.allclose(
                graph.padded_logits(history.to(model.device)), model.logits(_USERS), atol=_near(model)
            )
            nothing = graph.padded_logits(torch.zeros(2, 0, dtype=torch.int64, device=model.device))
            assert torch.allclose(nothing, model.logits(Histories.empty(2, _ITEMS)), atol=_near(model))

    def test_a_dot_product_gives_the_scores(self, model: Recommender[Any]) -> None:
        dot = capability(model, DotProduct)
        if dot is None:
            pytest.skip("no dot product")
        some = _USERS.select(np.flatnonzero(_USERS.lengths))
        vectors, biases = dot.item_vectors()
        assert torch.allclose(dot.queries(some) @ vectors.t() + biases, model.logits(some), atol=_near(model))

    def test_a_bound_is_the_sum_of_its_terms_and_repeats_itself(self, model: Recommender[Any]) -> None:
        bounded = capability(model, BoundedLikelihood)
        if bounded is None:
            pytest.skip("no bound on the likelihood of a history")
        found, again = (bounded.bound(_USERS, torch.Generator(model.device).manual_seed(2)) for _ in range(2))
        assert found.of
        assert found.value.shape == (5,)
        assert torch.isfinite(found.value).all()
        summed = torch.stack(list(found.terms.values())).sum(dim=0)
        assert torch.allclose(found.value, summed.to(found.value.dtype), rtol=1e-5)
        assert _repeats(found.value, again.value)

    def test_asking_does_not_change_the_model(self, model: Recommender[Any]) -> None:
        before = model.state()
        _lists(model, _USERS, 3)
        _scores(model, _USERS)
        model.trainer(two_tastes(10, _ITEMS))
        assert all(torch.equal(before[name], value) for name, value in model.state().items())

    def test_store_and_load_are_bit_equal(self, model: Recommender[Any], tmp_path: Path) -> None:
        save_run(tmp_path / "run", model=model, catalog=Catalog.from_ids([f"i{k}" for k in range(_ITEMS)]), info={})
        loaded = load_run(tmp_path / "run", device=self.device)
        assert _repeats(scores(loaded.model, _USERS), scores(model, _USERS))
        assert loaded.model.config == model.config
        assert type(loaded.model) is type(model)

    def test_settings_survive_json(self) -> None:
        assert type(self.config).from_dict(self.config.as_dict()) == self.config

    def test_the_same_seed_gives_the_same_scores(self, model: Recommender[Any]) -> None:
        found, again = scores(model, _USERS), scores(self.trained(), _USERS)
        # Elsewhere than on a CPU, the steps of a training carry on the differences of the sums before them.
        assert torch.equal(found, again) if self.device == "cpu" else torch.allclose(found, again, rtol=0.05, atol=0.05)

    def test_other_catalogs_and_settings_are_refused(self, model: Recommender[Any]) -> None:
        with pytest.raises(ShapeError, match="knows 20 items, the histories are over 7"):
            _scores(model, Histories.empty(1, 7))
        with pytest.raises(ShapeError, match="k must be at least 1"):
            _lists(model, _USERS, 0)
        with pytest.raises(ShapeError, match=r"deny: item indices must be in \[0, 20\)"):
            _lists(model, _USERS, 2, deny=[20])
        with pytest.raises(RunError, match="stored tensors"):
            model.load_state({"other": torch.zeros(1)})
        with pytest.raises(FitError, match="no user to train on"):
            fit(model, Histories.empty(3, _ITEMS))
        with pytest.raises(ConfigError, match="takes a"):
            type(model)(_ITEMS, _Other())

    def test_a_posterior_s_draws_spread_about_the_list(self, model: Recommender[Any]) -> None:
        if capability(model, PosteriorSampler) is None:
            pytest.skip("no posterior")

        def spread(seed: int = 0, **settings: Any) -> RankedLists:
            return _lists(model, _USERS, 15, WithSpread(draws=60, seed=seed, **settings))

        def sample(seed: int) -> RankedLists:
            return _lists(model, _USERS, 15, PosteriorSample(seed, 60))

        lists, fixed = spread(), _lists(model, _USERS, 15)
        assert (lists.items == fixed.items).all()
        found, wide, narrow = lists.spread, spread(level=0.99).spread, spread(level=0.2).spread
        assert found is not None
        assert wide is not None
        assert narrow is not None
        assert (found.low <= found.high).all()
        assert (wide.low <= found.low).all()
        assert (wide.high >= found.high).all()
        assert wide.high.sum() > narrow.high.sum()
        assert (found.sd >= 0).all()
        assert ((found.in_top_k >= 0) & (found.in_top_k <= 1)).all()
        assert found.sd.max() > 0
        # Ten items are left to the last user, and all of them are always listed.
        assert (found.in_top_k[4, :10] == 1).all()
        assert found.mean[4, :10].sum() == pytest.approx(1.0, abs=1e-4)
        assert (found.high[4, 10:] == 0).all()
        again = spread().spread
        assert again is not None
        assert (again.sd == found.sd).all()
        explored = [sample(seed) for seed in range(1, 9)]
        assert (sample(1).items == explored[0].items).all()
        assert any((one.items != fixed.items).any() for one in explored)
        everything = Histories.from_lists([list(range(_ITEMS))], _ITEMS)
        for ranker in (WithSpread(), PosteriorSample()):
            empty = _lists(model, everything, 3, ranker)
            assert (empty.items == -1).all()
            assert (empty.scores == -np.inf).all()
            assert empty.spread is not None
            assert (empty.spread.mean == 0).all()
