"""Every model by the contract that packages of other users inherit."""

import pytest

from foldin.data import Histories
from foldin.errors import ConfigError
from foldin.models import MODELS, MultVAEConfig
from foldin.testing import RecommenderContract
from tests.lists import recommend
from tests.small import ITEMS, SETTINGS, trained


def contract(name: str) -> type[RecommenderContract]:
    """The contract's tests of a model."""
    kind = MODELS[name].model_class.__name__
    about = {
        "config": MODELS[name]().with_settings(SETTINGS.get(name, {})),
        "personal": name not in ("popularity", "personal"),
    }
    return type(f"Test{kind}", (RecommenderContract,), about)


globals().update({f"Test{MODELS[name].model_class.__name__}": contract(name) for name in MODELS})


class TestSASRecWithoutDensity(RecommenderContract):
    """SASRec by a loss that leaves it without a density."""

    config = MODELS["sasrec"]().with_settings({**SETTINGS["sasrec"], "loss": "gbce", "epochs": 60})


def test_every_model_is_tested():
    tested = {type(one.config) for one in globals().values() if isinstance(one, type) and hasattr(one, "config")}
    assert tested == {MODELS[name] for name in MODELS}


def test_popularity_gives_everybody_the_most_taken():
    train = Histories.from_lists([[0, 1], [1, 2], [1]], ITEMS)
    assert recommend(trained("popularity", train), Histories.empty(1, ITEMS), 3).items.tolist() == [[1, 0, 2]]


@pytest.mark.parametrize("name", [n for n in MODELS if n != "multvae"])
def test_the_config_of_another_model_is_refused(name):
    with pytest.raises(ConfigError, match="takes a"):
        MODELS[name].model_class(ITEMS, MultVAEConfig())
