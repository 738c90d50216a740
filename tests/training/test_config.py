import dataclasses
import json
from dataclasses import dataclass

import pytest

from foldin.errors import ConfigError
from foldin.models import MODELS, MultVAEConfig
from foldin.training import Config, setting


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
    config = MultVAEConfig(hidden=(10, 5), anneal_updates=7)
    assert MultVAEConfig.from_dict(json.loads(json.dumps(config.as_dict()))) == config
    with pytest.raises(ConfigError, match="MultVAE has no setting 'speed'"):
        MultVAEConfig.from_dict({"speed": 1})


@pytest.mark.parametrize("name", MODELS)
def test_every_setting_of_every_model_is_explained(name):
    config = MODELS[name]()
    assert all(field.metadata["help"] for field in dataclasses.fields(config))
    assert MODELS[name](**config.as_dict()) == config
