import json

import numpy as np
import onnxruntime
import pytest

from foldin.data import Catalog, Histories
from foldin.errors import ConfigError
from foldin.models import MODELS, OnnxGraph
from foldin.runs import export_onnx
from tests.lists import recommend
from tests.small import ITEMS, USERS, trained

CATALOG = Catalog.from_ids([f"i{k}" for k in range(ITEMS)])
# Every model at its defaults is exported by `tests/ranking` too, whose histories are longer and stranger.
OFTEN = ("ease", "multdae")
MADE = [
    *(
        pytest.param(
            name,
            {"epochs": 2} if "epochs" in kind.__dataclass_fields__ else {},
            marks=() if name in OFTEN else pytest.mark.long,
            id=name,
        )
        for name, kind in MODELS.items()
        if issubclass(kind.model_class, OnnxGraph)
    ),
    ("diffrec", {"epochs": 2, "head": "multinomial"}),
    pytest.param(
        "sasrec",
        {"epochs": 2, "positions": "rotary", "block": "gated", "temperature": 0.1},
        marks=pytest.mark.long,
        id="sasrec rotary",
    ),
    pytest.param(
        "sasrec",
        {"epochs": 2, "positions": "relative", "n_heads": 2, "max_length": 4},
        marks=pytest.mark.long,
        id="sasrec relative",
    ),
    *(
        pytest.param(
            "sasrec",
            {"epochs": 2, "positions": None, "mixer": mixer},
            marks=pytest.mark.long,
            id=f"sasrec {mixer}",
        )
        for mixer in ("frequency", "recurrence", "gated")
    ),
]


def rectangle(users: Histories, width: int) -> np.ndarray:
    history = np.full((len(users), width), -1, np.int64)
    for user in range(len(users)):
        history[user, : users.lengths[user]] = users.of(user)
    return history


@pytest.mark.parametrize(("name", "settings"), MADE, ids=str)
def test_another_runtime_gives_equal_lists(name, settings, tmp_path):
    model = trained(name, **settings)
    export_onnx(model, CATALOG, tmp_path / "model.onnx", k=12)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    exact = recommend(model, USERS, 12)
    for width in (10, 14):
        items, scores = session.run(None, {"history": rectangle(USERS, width)})
        assert np.array_equal(items, exact.items)
        assert np.allclose(scores, exact.scores, atol=1e-4)
    (alone, _) = session.run(None, {"history": rectangle(USERS.rows(0, 1), 3)})
    assert np.array_equal(alone[0], exact.items[0])
    # A rectangle without a column: nobody has any event.
    nobody = recommend(model, Histories.empty(1, ITEMS), 12)
    for users in (1, 3):
        items, scores = session.run(None, {"history": np.empty((users, 0), np.int64)})
        assert items.tolist() == nobody.items.tolist() * users
        assert np.allclose(scores, nobody.scores, atol=1e-4)
    assert session.run(None, {"history": np.empty((0, 3), np.int64)})[0].shape == (0, 12)
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["items"]) == CATALOG.ids
    assert about["foldin_model"] == type(model).__name__


def test_what_cannot_be_exported_is_refused(tmp_path):
    with pytest.raises(
        ConfigError, match=r"Popularity cannot be exported; these can: .*ease, edlae, slim, elsa, multdae"
    ):
        export_onnx(trained("popularity"), CATALOG, tmp_path / "a.onnx")
    with pytest.raises(ConfigError, match="a list of 1 to 20 places was expected"):
        export_onnx(trained("ease"), CATALOG, tmp_path / "a.onnx", k=21)
    assert not list(tmp_path.iterdir())
