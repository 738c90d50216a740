import dataclasses
import json
from dataclasses import dataclass

import pytest

from foldin.errors import ConfigError
from foldin.generative import CodePriorConfig, DiffusionConfig, RQVAEConfig, VAEConfig, VQVAEConfig
from foldin.models import MODELS, DiffRecConfig, LatentDiffRecConfig, MultVAEConfig, RisingOverUpdates
from foldin.training import Config, Option, setting, settings_of


@dataclass(frozen=True, kw_only=True)
class SampleConfig(Config):
    rate: float = setting(0.5, "a rate", low=0, below=1)
    widths: tuple[int, ...] = setting((3,), "widths", low=1)
    limit: int | None = setting(None, "a limit", low=1)
    kind: str = setting("a", "a kind", choices=("a", "b"))
    on: bool = setting(False, "a switch")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rate": 1.0}, "Sample: rate = 1.0: must be ≥ 0 and < 1"),
        ({"rate": "x"}, "Sample: rate = 'x': number was expected"),
        ({"rate": True}, "Sample: rate = True: number was expected"),
        ({"widths": (3, 0)}, r"Sample: widths = \(3, 0\): must be ≥ 1"),
        ({"limit": 0}, "Sample: limit = 0: must be ≥ 1"),
        ({"limit": 2.5}, "Sample: limit = 2.5: whole number or none was expected"),
        ({"kind": "c"}, "Sample: kind = 'c': must be one of a, b"),
    ],
)
def test_a_bad_value_names_field_value_and_range(values, message):
    with pytest.raises(ConfigError, match=message):
        SampleConfig(**values)


def test_texts_become_values():
    texts = {"rate": "0.25", "widths": "4,5", "limit": "7", "kind": "b", "on": "yes"}
    assert SampleConfig.from_texts(texts) == SampleConfig(rate=0.25, widths=(4, 5), limit=7, kind="b", on=True)
    assert SampleConfig.from_texts({"limit": "none", "widths": ""}) == SampleConfig(widths=())


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"speed": "1"}, "Sample has no setting 'speed'; there are rate, widths, limit, kind, on"),
        ({"limit": "many"}, "limit = 'many': whole number or none was expected"),
        ({"widths": "4,x"}, "a list of whole numbers was expected"),
        ({"on": "perhaps"}, "true or false was expected"),
    ],
)
def test_bad_texts_are_refused(texts, message):
    with pytest.raises(ConfigError, match=message):
        SampleConfig.from_texts(texts)


def test_a_journey_through_json():
    config = MultVAEConfig(hidden_dims=(10, 5), beta_schedule=RisingOverUpdates(updates=7))
    assert MultVAEConfig.from_dict(json.loads(json.dumps(config.as_dict()))) == config
    with pytest.raises(ConfigError, match="MultVAE has no setting 'speed'"):
        MultVAEConfig.from_dict({"speed": 1})


# Every configuration: of the recommenders, and of the models over any tensor.
CONFIGS = {
    **MODELS,
    "vae": VAEConfig,
    "vqvae": VQVAEConfig,
    "rqvae": RQVAEConfig,
    "diffusion": DiffusionConfig,
    "code-prior": CodePriorConfig,
}


@pytest.mark.parametrize("name", CONFIGS)
def test_every_setting_of_every_model_is_explained(name):
    config = CONFIGS[name]()
    assert CONFIGS[name].from_dict(json.loads(json.dumps(config.as_dict()))) == config
    for field, about in settings_of(CONFIGS[name]).items():
        for text in (about["help"], *about.get("options", {}).values()):
            assert text[0] == text[0].upper(), field
            assert text.endswith("."), field


# The names that settings of the same meaning have in every model.
STANDARD = {
    *("latent_dim", "hidden_dims", "embedding_dim", "n_heads", "n_layers", "max_length", "dropout", "learning_rate"),
    *(
        "lr_decay",
        "weight_decay",
        "batch_size",
        "epochs",
        "patience",
        "seed",
        "device",
        "beta",
        "beta_schedule",
        "loss",
    ),
    *("n_negatives", "temperature", "regularization", "n_components", "n_neighbors", "n_steps"),
}
# Those that mean something in one model, or in one family.
OWN = {
    "popularity": "smoothing window_days",
    "personal": "recency",
    "contentknn": "columns",
    "two-tower": "free_rows features user_features n_targets",
    "itemknn": "shrinkage oldest",
    "ease": "oldest features",
    "edlae": "oldest",
    "sansa": "oldest",
    "slim": "sparsity oldest",
    "elsa": "oldest",
    "als": "confidence iterations oldest features",
    "ials": "exponent unobserved_weight oldest",
    "mixture": "smoothing precision",
    "plsa": "user_pseudo item_pseudo local_iterations local_tolerance",
    "lda": "alpha eta online local_iterations local_tolerance",
    "poisson": "shape activity_shape activity_mean ascent local_iterations local_tolerance",
    "multdae": "oldest",
    "multvae": "oldest features user_features",
    "recvae": "hidden_dim kl_weight prior alternation slim oldest",
    "diffrec": "time_dim noise importance normalized head empty_share",
    "t-diffrec": "time_dim noise importance normalized head empty_share oldest",
    "l-diffrec": "n_clusters residual time_dim noise reweighted diffusion_weight oldest",
    "sasrec": "codebook_size crop positions timed mixer block expansion initial_sd batch_tokens features",
    "semantic": "tokens expansion item_vectors constrained batch_tokens",
    "product": "experts objective groups held_out refit",
    "repeats": "experts recency held_out",
    "vae": "activation likelihood prior n_draws free_bits precision compiled optimizer",
    "vqvae": "channels block_channels n_blocks codebook_size levels groups codebook_update commitment standardized revive "
    "likelihood",
    "rqvae": "levels codebook_size autoencoder",
    "diffusion": "noise prediction step_weights importance variance network time_dim average_decay",
    "code-prior": "codebook_size block expansion",
}


@pytest.mark.parametrize("name", CONFIGS)
def test_settings_of_one_meaning_have_one_name(name):
    fields = [field.name for field in dataclasses.fields(CONFIGS[name])]
    assert set(fields) - STANDARD == set(OWN[name].split())
    assert len(fields) <= 20


@dataclass(frozen=True, kw_only=True)
class Plain(Option):
    """Nothing to set."""

    name = "plain"


@dataclass(frozen=True, kw_only=True)
class Steep(Option):
    """A slope."""

    name = "steep"
    slope: float = setting(2.0, "The slope.", above=0)
    inner: Plain | None = setting(None, "A way within.")


@dataclass(frozen=True, kw_only=True)
class WaysConfig(Config):
    way: Plain | Steep = setting(Plain(), "The way.")
    other: Steep | None = setting(None, "Another way.")
    rate: float = setting(0.5, "A rate.", low=0, below=1)


def test_a_way_is_chosen_by_its_name_and_set_behind_a_dot():
    found = WaysConfig.from_texts({"way.slope": "3", "way": "steep", "other": "steep", "other.inner": "plain"})
    assert found == WaysConfig(way=Steep(slope=3.0), other=Steep(inner=Plain()))
    assert found.with_texts({"way.slope": "4"}).way.slope == 4.0
    assert found.with_texts({"other": "none"}).other is None
    assert WaysConfig().with_settings({"way": "steep", "way.slope": 3, "rate": 0.1}).way == Steep(slope=3)
    assert WaysConfig().with_settings({"way": Steep(slope=5.0)}).way.slope == 5.0
    journey = json.loads(json.dumps(found.as_dict()))
    assert journey["way"] == {"name": "steep", "slope": 3.0, "inner": None}
    assert WaysConfig.from_dict(journey) == found


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"way": "steeper"}, "Ways: way = 'steeper': one of plain, steep was expected"),
        ({"other": "plain"}, "Ways: other = 'plain': one of steep, none was expected"),
        ({"way.slope": "1"}, "Plain has no setting 'slope'; there are none"),
        (
            {"other.slope": "1"},
            "Ways: other.slope: other = None has no settings; choose a way that has it first: other=steep",
        ),
        ({"rate.slope": "1"}, "Ways: rate.slope: rate = 0.5 has no settings"),
        ({"way": "steep", "way.slope": "0"}, "Steep: slope = 0.0: must be > 0"),
        ({"way": "steep", "way.slope": "x"}, "Steep: slope = 'x': number was expected"),
        ({"ways.slope": "1"}, "Ways has no setting 'ways'"),
    ],
)
def test_what_is_no_way_is_refused(texts, message):
    with pytest.raises(ConfigError, match=message):
        WaysConfig.from_texts(texts)


def test_a_way_that_json_does_not_name_is_refused():
    with pytest.raises(ConfigError, match="Ways: way = 'none': one of plain, steep was expected"):
        WaysConfig.from_dict({"way": {"name": "none"}})
    with pytest.raises(ConfigError, match="Ways: way = 3: one of plain, steep was expected"):
        WaysConfig.from_dict({"way": 3})


def test_settings_say_which_ways_they_belong_to():
    found = settings_of(WaysConfig)
    assert list(found) == ["way", "way.slope", "way.inner", "other", "other.slope", "other.inner", "rate"]
    assert found["way"]["options"] == {"plain": "Nothing to set.", "steep": "A slope."}
    assert found["way.slope"]["with"] == {"way": {"steep": 2.0}}
    assert found["other.slope"]["with"] == {"other": {"steep": 2.0}}


def test_the_way_that_is_there_by_default_keeps_the_settings_that_the_model_gives_it():
    assert DiffRecConfig.from_texts({"noise": "linear"}) == DiffRecConfig()
    assert DiffRecConfig.from_texts({"noise": "linear", "noise.scale": "1"}).noise.first == DiffRecConfig().noise.first
    assert settings_of(DiffRecConfig)["noise.first"]["default"] == DiffRecConfig().noise.first > 0
    assert (
        settings_of(LatentDiffRecConfig)["beta_schedule.share"]["default"] == LatentDiffRecConfig().beta_schedule.share
    )


def test_a_way_of_a_class_of_its_own_is_refused_since_it_could_not_be_read_again():
    @dataclass(frozen=True, kw_only=True)
    class Mine(Steep):
        """Another slope."""

        name = "mine"

    with pytest.raises(ConfigError, match=r"Ways: way = .*: one of plain, steep was expected"):
        WaysConfig(way=Mine())
    assert WaysConfig().with_settings({"other": "none"}).other is None
    with pytest.raises(ConfigError, match="one of plain, steep was expected"):
        WaysConfig.from_dict({"way": {"name": ["steep"]}})
