"""The same users under two runs: paired by external id, pooled over nights."""

import numpy as np
import polars as pl
import pytest

from foldin.errors import ShapeError
from foldin.evaluation import Evaluation, pair_users, pool_nights


def table(users, values, **more) -> pl.DataFrame:
    return pl.DataFrame({"user": users, "ndcg@10": values, **more})


def values_of(paired) -> dict:
    return {user: (old, new) for user, old, new in zip(paired.users, paired.old, paired.new, strict=True)}


def test_users_are_paired_by_id_whatever_their_order_and_type():
    old = table(["7", "10", "9"], [0.7, 0.1, 0.9], targets=[1, 2, 3])
    new = Evaluation(table([9, 7, 10], [0.8, 0.75, 0.2], targets=[3, 1, 2]), {}, 0)
    found = pair_users(old, new, "ndcg@10")
    assert values_of(found) == {"7": (0.7, 0.75), "9": (0.9, 0.8), "10": (0.1, 0.2)}
    assert found.differences[found.users.to_list().index("9")] == pytest.approx(-0.1)
    assert found.left_out == 0
    assert "ndcg@10 of 3 users" in repr(found)
    shuffled = pair_users(old[::-1], new, "ndcg@10")
    assert shuffled.users.to_list() == found.users.to_list()  # so that an interval does not depend on the order


def test_users_of_one_evaluation_are_refused_or_counted():
    old, new = table(["a", "b", "c"], [0.1, 0.2, 0.3]), table(["b", "a", "d"], [0.5, 0.4, 0.6])
    with pytest.raises(ShapeError, match="on 3 users, the new one on 3, with 2 in common"):
        pair_users(old, new, "ndcg@10")
    found = pair_users(old, new, "ndcg@10", common_only=True)
    assert values_of(found) == {"a": (0.1, 0.4), "b": (0.2, 0.5)}
    assert found.left_out == 2
    assert "2 values" in repr(found)
    with pytest.raises(ShapeError, match="0 in common"):
        pair_users(old, table(["x"], [0.1]), "ndcg@10", common_only=True)


@pytest.mark.parametrize(
    ("new", "message"),
    [
        (table(["a", "a"], [0.1, 0.2]), "the new run has the user 'a' twice"),
        (table(["a", None], [0.1, 0.2]), "a user without an id"),
        (table(["a", "b"], [0.1, None]), "no finite ndcg@10 of the user 'b'"),
        (table(["a", "b"], [0.1, float("-inf")]), "no finite ndcg@10 of the user 'b'"),
        (pl.DataFrame({"user": ["a", "b"]}), "the new run has no column 'ndcg@10', but user"),
        (table(["a", "b"], [0.1, 0.2], targets=[1, 3]), "1 users have other numbers of targets .* such as 'b'"),
    ],
)
def test_what_cannot_be_paired_is_refused(new, message):
    with pytest.raises(ShapeError, match=message):
        pair_users(table(["a", "b"], [0.1, 0.2], targets=[1, 2]), new, "ndcg@10")


def night(**differences: float):
    users = list(differences)
    return pair_users(
        table(users, [0.5] * len(users)), table(users, [0.5 + one for one in differences.values()]), "ndcg@10"
    )


def test_a_user_of_several_nights_counts_once():
    nights = [night(a=0.1, b=0.2), night(b=0.4, c=0.0), night(b=0.0)]
    pooled = pool_nights(nights)
    by_user = dict(zip(pooled.users, pooled.differences, strict=True))
    assert by_user == pytest.approx({"a": 0.1, "b": 0.2, "c": 0.0})
    assert dict(zip(pooled.users, pooled.nights, strict=True)) == {"a": 1, "b": 3, "c": 1}
    assert pooled.old == pytest.approx(np.full(3, 0.5))
    again = pool_nights([pool_nights(nights[:2]), nights[2]])  # pools can be pooled
    assert again.users.to_list() == pooled.users.to_list()
    assert again.differences == pytest.approx(pooled.differences)
    with pytest.raises(ShapeError, match="of none"):
        pool_nights([])
    other = pair_users(table(["a"], [0.1], mrr=[0.1]), table(["a"], [0.1], mrr=[0.1]), "mrr")
    with pytest.raises(ShapeError, match=r"of one metric were expected, not of \['mrr', 'ndcg@10'\]"):
        pool_nights([nights[0], other])
