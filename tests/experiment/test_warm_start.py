"""Training that starts from an earlier model: parameters follow the items by their ids."""

from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest
import torch

import foldin
from foldin.data import Catalog, Histories, strong
from foldin.errors import ConfigError
from foldin.experiment import build_model, fit_all, train, warm_start
from foldin.models import MODELS, EASEConfig, ItemRows, MultVAEConfig, Recommender, SASRec, SASRecConfig, has_capability
from foldin.testing import two_tastes
from foldin.training import fit
from tests.conftest import make_log
from tests.small import ITEMS, SETTINGS, USERS

STARTED = [name for name in MODELS if has_capability(MODELS[name].model_class, ItemRows)]
ORDER = np.random.default_rng(4).permutation(ITEMS)  # item → its place in the other catalog
VAE = MultVAEConfig(hidden_dims=(), latent_dim=4, batch_size=20, epochs=3, learning_rate=0.02)


@dataclass
class Start:
    model: Recommender
    catalog: Catalog


def catalog_of(ids: list[str]) -> Catalog:
    return Catalog(pl.DataFrame({"item": ids, "count": [0] * len(ids)}))


def small(name: str, epochs: int) -> foldin.training.Config:
    return MODELS[name]().with_settings({**SETTINGS.get(name, {}), "epochs": epochs})


def trained(name: str, epochs: int = 2) -> Start:
    """A model of twenty items, trained for a moment."""
    config = small(name, epochs)
    model = config.model_class(ITEMS, config, seed=5)
    fit(model, two_tastes(60, ITEMS), seed=5)
    return Start(model, catalog_of([f"i{item}" for item in range(ITEMS)]))


@pytest.fixture
def from_all(monkeypatch):
    """Every model starts from all of its earlier parameters."""
    monkeypatch.setattr(SASRec, "kept_at_start", lambda model: 1.0)


def test_the_models_that_can_start_are_those_of_the_guide():
    assert STARTED == ["mixture", "plsa", "lda", "poisson", "multdae", "multvae", "recvae", "sasrec"]


@pytest.mark.parametrize("name", STARTED)
@pytest.mark.usefixtures("from_all")
def test_in_another_order_of_the_items_the_scores_are_the_same(name):
    """Only if every tensor with a row for each item is among `item_rows`, and no other."""
    start = trained(name)
    ids = np.empty(ITEMS, dtype=object)
    ids[ORDER] = start.catalog.ids
    other = build_model(catalog_of(ids.tolist()), start.model.config, seed=8)
    found = warm_start(other, catalog_of(ids.tolist()), start)
    assert (found.copied, found.new, found.gone) == (ITEMS, 0, 0)
    scores = other.logits(USERS.reindex(ORDER, ITEMS))
    assert torch.allclose(scores[:, torch.from_numpy(ORDER)], start.model.logits(USERS), atol=1e-5)


@pytest.mark.parametrize("name", STARTED)
@pytest.mark.usefixtures("from_all")
def test_items_that_are_new_begin_at_the_mean_and_those_that_are_gone_are_dropped(name):
    start = trained(name)
    ids = [*(f"i{item}" for item in range(3, ITEMS)), "new", "newer"]
    model = build_model(catalog_of(ids), start.model.config, seed=8)
    found = warm_start(model, catalog_of(ids), start)
    assert (found.copied, found.new, found.gone) == (ITEMS - 3, 2, 3)
    for of in model.item_rows():
        old, new = start.model.state()[of], model.state()[of]
        assert len(new) == ITEMS - 1
        assert torch.equal(new[: ITEMS - 3], old[3:])
        for row in new[ITEMS - 3 :]:
            assert torch.allclose(row.double(), old.double().mean(dim=0), atol=1e-6)
    others = model.state().keys() - model.item_rows()
    assert all(torch.equal(model.state()[of], start.model.state()[of]) for of in others)
    lists = model.logits(Histories.from_lists([[0, 2], []], ITEMS - 1))
    assert torch.isfinite(lists).all()


@pytest.mark.parametrize(("name", "given", "kept"), [("sasrec", None, 0.3), ("sasrec", 0.2, 0.2), ("recvae", 0.7, 0.7)])
def test_a_share_of_the_earlier_parameters_is_kept(name, given, kept, monkeypatch):
    start = trained(name)
    if given is not None:
        monkeypatch.setattr(type(start.model), "kept_at_start", lambda model: given)
    ids = [*(f"i{item}" for item in range(3, ITEMS)), "new"]
    model = build_model(catalog_of(ids), start.model.config, seed=8)
    untrained, earlier = model.state(), start.model.state()
    warm_start(model, catalog_of(ids), start)
    learned = {of for of, tensor in model.tensors().items() if isinstance(tensor, torch.nn.Parameter)}
    assert {"items", "decoder"} & learned
    for of, value in model.state().items():
        known = earlier[of][3:] if of in model.item_rows() else earlier[of]
        if of not in learned:
            assert torch.equal(value[: len(known)] if of in model.item_rows() else value, known), of
            continue
        assert torch.allclose(
            value[: len(known)], kept * known + (1 - kept) * untrained[of][: len(known)], atol=1e-6
        ), of
        assert torch.equal(value[len(known) :], untrained[of][len(known) :]), of


@pytest.mark.parametrize("name", STARTED)
def test_training_goes_on_where_the_earlier_one_ended(name):
    """On the same users, the first pass from the earlier model is better than the first one from scratch."""
    start, train_ = trained(name, epochs=12), two_tastes(60, ITEMS)
    first = {}
    for how in ("scratch", "warm"):
        model = build_model(start.catalog, start.model.config, seed=8)
        if how == "warm":
            warm_start(model, start.catalog, start)
        terms = fit(model, train_, seed=8, epochs=1).records[0].terms
        first[how] = next(
            -value if term.endswith("loss") else value
            for term, value in terms.items()
            if term.endswith(("/loss", "/lower_bound", "/log_posterior", "/elbo"))
        )
    assert first["warm"] > first["scratch"]


def test_em_from_an_earlier_model_only_rises():
    """The mixture, which starts every class from a random user if all classes are alike."""
    start, train_ = trained("mixture", epochs=6), two_tastes(60, ITEMS)
    model = build_model(start.catalog, start.model.config, seed=8)
    warm_start(model, start.catalog, start)
    before = start.model.summarize(train_).log_likelihood + start.model.log_prior()
    record = fit(model, train_, seed=8, epochs=2).records
    assert record[0].terms["em/lower_bound"] == pytest.approx(before / len(train_), rel=1e-6)
    assert record[1].terms["em/lower_bound"] >= record[0].terms["em/lower_bound"]


def test_a_model_that_cannot_start_says_so():
    catalog = catalog_of([f"i{item}" for item in range(ITEMS)])
    for config, message in (
        (
            EASEConfig(),
            "ease: its training cannot start from another run; these can: mixture, plsa, lda, poisson, multd",
        ),
        (
            SASRecConfig(codebook_size=4),
            "SASRec: codebook_size = 4: the tokens of items are learned anew from each log",
        ),
    ):
        model = build_model(catalog, config)
        with pytest.raises(ConfigError, match=message):
            warm_start(model, catalog, Start(model, catalog))


def test_a_start_that_does_not_fit_is_refused():
    start = trained("multvae")
    model = build_model(start.catalog, small("multdae", 2))
    with pytest.raises(ConfigError, match="multdae: training cannot start from another model, MultVAE"):
        warm_start(model, start.catalog, start)
    model = build_model(start.catalog, MODELS["multvae"]().with_settings({"hidden_dims": (16,), "latent_dim": 9}))
    with pytest.raises(
        ConfigError, match=r"with other settings: 'decoder.0' has the shape \(16, 8\) there, \(16, 9\) here"
    ):
        warm_start(model, start.catalog, start)
    model = build_model(start.catalog, MODELS["multvae"]().with_settings({"hidden_dims": (), "latent_dim": 8}))
    with pytest.raises(ConfigError, match="with other settings"):
        warm_start(model, start.catalog, start)
    strangers = catalog_of(["x", "y"])
    model = build_model(strangers, start.model.config)
    with pytest.raises(ConfigError, match="no item of this log"):
        warm_start(model, strangers, start)


def test_train_and_fit_all_start_from_runs_and_from_trainings(tmp_path):
    split = strong(make_log(users=80, items=30, seed=1), held_out=10)
    earlier = train(split, VAE)
    earlier.save(tmp_path / "run")
    warm = train(split, VAE, start=earlier, epochs=1)
    again = train(split, VAE, start=foldin.load(tmp_path / "run"), epochs=1)
    assert all(torch.equal(one, again.model.state()[of]) for of, one in warm.model.state().items())
    cold = train(split, VAE, epochs=1)
    assert warm.result.records[0].terms["train/loss"] < cold.result.records[0].terms["train/loss"]
    log = make_log()
    whole = fit_all(log, VAE, start=earlier, epochs=1)
    assert whole.catalog.ids == log.items["item"].to_list()
    longer = fit_all(log, VAE, start=whole, epochs=1)
    assert longer.result.records[0].terms["train/loss"] < whole.result.records[0].terms["train/loss"]
