"""What each expert adds is the difference of two evaluations on the same users."""

import numpy as np
import pytest

from foldin.errors import ConfigError
from foldin.evaluation import evaluate, expert_report
from foldin.models import HeldOutLikelihood, Popularity
from foldin.models.ensemble._scored import HeldOutScores
from foldin.models.ensemble._weights import learned_weights
from foldin.reports.experts import EXPERTS_HEAD, expert_rows, experts_heading
from tests.models.ensemble.tables import ITEMS, drawn, of_tables, random_tables

TRUE = np.array([[0.6, 0.0], [0.6, 0.0]])


def test_an_expert_adds_what_the_others_cannot_do_without_it():
    experts = random_tables(2)
    validation, test = drawn(experts, TRUE, 150), drawn(experts, TRUE, 150, seed=1)
    model = of_tables(experts, [[1.0, 1.0]])
    model.learn_weights(validation)
    found = expert_report(model, validation, test)
    whole = evaluate(model, test, metrics=("ndcg@100",))
    assert found["users"] == 150
    assert found["log_likelihood"]["mean"] == whole.values("log_likelihood_per_item").mean()
    for at, entry in enumerate(found["experts"]):
        other = experts[1 - at]
        weights, _ = learned_weights(HeldOutScores([other], validation, block=50), HeldOutLikelihood())
        alone = evaluate(of_tables([other], weights.tolist()), test, metrics=("ndcg@100",))
        for key, metric in (("adds", "log_likelihood_per_item"), ("adds_ndcg", "ndcg@100")):
            expected = (whole.values(metric) - alone.values(metric)).mean()
            assert entry[key]["mean"] == pytest.approx(expected, abs=1e-6)
            assert entry[key]["low"] <= entry[key]["mean"] <= entry[key]["high"]
    first, second = found["experts"]
    assert first["adds"]["low"] > 0.1  # items were drawn with it
    assert abs(second["adds"]["mean"]) < 0.02  # and without the other
    rows = expert_rows(found)
    assert [row[0] for row in rows] == ["popularity-1", "popularity-2"]
    assert all(len(row) == len(EXPERTS_HEAD) for row in rows)
    assert rows[0][2].startswith(f"{first['adds']['mean']:.4f} ({first['adds']['low']:.4f} to ")
    assert "150 test users" in experts_heading(found)


def test_a_model_of_one_piece_has_no_experts():
    validation = drawn(random_tables(2), TRUE, 20)
    with pytest.raises(ConfigError, match="needs a product of experts; Popularity has none"):
        expert_report(Popularity(ITEMS), validation, validation)
    with pytest.raises(ConfigError, match="no product of 1 experts without number 0"):
        expert_report(of_tables(random_tables(1), [[1.0]]), validation, validation)
