"""The figure of EASE shows the matrix and the scores of foldin's model, for a user who was not in training."""

import numpy as np
import pytest

from foldin.data import Histories
from foldin.models import EASE, EASEConfig
from foldin.training import fit
from tests.book.figures.running import computed, needs_node

# Six users of the log and a new one, over five films; `None` is what the figure starts with.
OTHER = [1, 0, 1, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 1, 1, 0, 0, 1, 0, 1, 1, 0, 1, 0, 0, 1]


@needs_node
@pytest.mark.parametrize("taken", [None, OTHER])
@pytest.mark.parametrize("regularization", [0.2, 1.0, 7.4, 20.0])
def test_weights_and_scores_are_those_of_ease(taken, regularization):
    given = {"lambda": regularization} if taken is None else {"lambda": regularization, "taken": taken}
    values = computed("ease-matrix", given)
    X, x = np.array(values["X"]), np.array(values["x"])
    model = EASE(5, EASEConfig(regularization=regularization))
    fit(model, Histories.from_lists([np.flatnonzero(user) for user in X], n_items=5))
    scores = model.logits(Histories.from_lists([np.flatnonzero(x)], n_items=5))[0].numpy()
    assert np.array_equal(values["gram"], X.T @ X)
    assert np.allclose(np.array(values["P"]) @ (X.T @ X + regularization * np.eye(5)), np.eye(5), atol=1e-9)
    assert np.allclose(values["B"], model.weights.numpy(), atol=1e-5)
    assert np.allclose(values["scores"], scores, atol=1e-5)
    assert np.allclose(values["counted"], x @ X.T @ X)
    listed = np.array(values["scores"])[values["order"]]
    assert sorted(values["order"]) == np.flatnonzero(x == 0).tolist()
    assert (np.diff(listed) <= 0.0).all()


@needs_node
def test_the_weight_that_the_question_asks_for_turns_from_negative_to_positive():
    small, large = (computed("ease-matrix", {"lambda": each}) for each in (1.0, 20.0))
    assert small["gram"][0][2] == 1  # the two films were taken together
    assert small["scores"][2] < -0.1
    assert large["scores"][2] > 0.01


@needs_node
def test_a_new_user_without_films_or_with_all_of_them_has_no_list():
    users = [1, 1, 0, 0, 0] * 6
    assert computed("ease-matrix", {"taken": users + [0] * 5})["scores"] == [0.0] * 5
    assert computed("ease-matrix", {"taken": users + [1] * 5})["order"] == []
