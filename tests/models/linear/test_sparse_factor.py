"""The sparse factor of the inverse, and the entries of XᵀX that it is made from, against dense matrices."""

import numpy as np
import pytest
import torch

from foldin.data import Histories
from foldin.models.evidence import summed_rows
from foldin.models.linear import _sparse_factor, _sparse_gram
from foldin.models.linear._sparse_factor import factor_rows
from foldin.models.linear._sparse_gram import SparseGram, sparse_gram

ITEMS, RIDGE = 14, 2.0


def log(users: int = 60, seed: int = 3) -> Histories:
    """A log in which the later items are the more popular ones, and one user has all of them."""
    rng = np.random.default_rng(seed)
    weight = np.arange(1.0, ITEMS + 1.0) ** 1.5
    lists = [rng.choice(ITEMS, rng.integers(1, 8), replace=False, p=weight / weight.sum()) for _ in range(users)]
    return Histories.from_lists([*lists, range(ITEMS)], ITEMS)


def gram_of(train: Histories, n_kept: int = ITEMS) -> SparseGram:
    return sparse_gram(train, lambda part: summed_rows(part, 1.0), regularization=RIDGE, n_kept=n_kept)


def dense(train: Histories, gram: SparseGram) -> np.ndarray:
    """XᵀX in the order of popularity, by a dense product."""
    rows = train.csr().toarray().astype(np.float64)
    return (rows.T @ rows)[np.ix_(gram.order, gram.order)]


def strengths(matrix: np.ndarray) -> np.ndarray:
    norms = np.sqrt(matrix.diagonal() + RIDGE)
    return np.tril(np.abs(matrix) / np.outer(norms, norms), -1)


def whole(gram: SparseGram) -> np.ndarray:
    return gram.among(np.arange(ITEMS)[None])[0]


@pytest.mark.parametrize("head", [1, 5, ITEMS + 1])
@pytest.mark.parametrize("pairs", [1, 1 << 20], ids=["an item at a time", "one block"])
def test_entries_are_those_of_the_dense_product(head, pairs, monkeypatch):
    monkeypatch.setattr(_sparse_gram, "_HEAD", head)
    monkeypatch.setattr(_sparse_gram, "_BLOCK_PAIRS", pairs)
    train = log()
    gram = gram_of(train)
    expected = dense(train, gram)
    assert (np.diff(expected.diagonal()) <= 0).all()
    assert np.allclose(gram.norms**2, expected.diagonal() + RIDGE)
    np.fill_diagonal(expected, 0.0)
    assert (whole(gram) == expected).all()


def test_the_strongest_entries_are_kept_outside_of_the_head(monkeypatch):
    monkeypatch.setattr(_sparse_gram, "_HEAD", 4)
    train = log()
    gram = gram_of(train, n_kept=3)
    exact = dense(train, gram)
    strength, found = strengths(exact), whole(gram)
    assert (np.tril(found, -1)[:4] == np.tril(exact, -1)[:4]).all()
    assert (found == found.T).all()
    lengths = train.lengths.astype(float)
    independent = np.outer(exact.diagonal(), exact.diagonal()) * (lengths**2).sum() / lengths.sum() ** 2
    for place in range(4, ITEMS):
        kept = gram.places[gram.offsets[place - 4] : gram.offsets[place - 3]]
        assert (found[place, kept] == exact[place, kept]).all()
        assert len(kept) == 3
        left_out = np.setdiff1d(np.arange(place), kept)
        weakest = strength[place, kept].min()
        if len(left_out):
            assert weakest >= strength[place, left_out].max()
            at_most = weakest * gram.norms[place] * gram.norms[left_out]
            assert np.allclose(found[place, left_out], np.minimum(at_most, independent[place, left_out]))
        assert (
            gram.strongest(place, place + 1, 2)[0].tolist() == np.argsort(-strength[place], kind="stable")[:2].tolist()
        )
    for place in range(1, 4):
        best = [at for at in np.argsort(-strength[place], kind="stable")[:2].tolist() if strength[place, at] > 0]
        assert [at for at in gram.strongest(place, place + 1, 2)[0].tolist() if at >= 0] == best


def factor(gram: SparseGram, k: int) -> np.ndarray:
    """W as a dense matrix."""
    neighbors, weights, diagonal = factor_rows(gram, 0, ITEMS, k)
    W = np.diag(diagonal.astype(np.float64))
    for row, (places, values) in enumerate(zip(neighbors, weights, strict=True)):
        assert (values[places < 0] == 0.0).all()
        W[row, places[places >= 0]] = values[places >= 0]
    return W


@pytest.mark.parametrize("head", [1, 6, ITEMS])
def test_with_all_earlier_items_it_is_the_inverse(head, monkeypatch):
    monkeypatch.setattr(_sparse_gram, "_HEAD", head)
    train = log()
    gram = gram_of(train)
    W = factor(gram, ITEMS)
    assert (np.triu(W, 1) == 0.0).all()
    assert np.allclose(W.T @ W, np.linalg.inv(dense(train, gram) + RIDGE * np.eye(ITEMS)), atol=1e-6)


def test_it_minimizes_the_divergence_over_its_entries():
    train, k = log(), 3
    gram = gram_of(train)
    A = torch.from_numpy(dense(train, gram) + RIDGE * np.eye(ITEMS))
    W = torch.from_numpy(factor(gram, k)).requires_grad_()
    # KL(N(0, A) ‖ N(0, (WᵀW)⁻¹)) up to terms without W.
    divergence = 0.5 * torch.trace(W @ A @ W.t()) - W.diagonal().log().sum()
    divergence.backward()
    entries = W.detach() != 0.0
    assert entries.sum(dim=1).tolist() == [min(place, k) + 1 for place in range(ITEMS)]
    assert W.grad[entries].abs().max() < 1e-4
    assert W.grad[~entries].abs().max() > 0.1


def test_neighbors_have_the_largest_coefficients_of_those_tried():
    train, k = log(), 2
    gram = gram_of(train)
    A = dense(train, gram) + RIDGE * np.eye(ITEMS)
    strength, norms = strengths(dense(train, gram)), np.sqrt(A.diagonal())
    neighbors, _, _ = factor_rows(gram, 0, ITEMS, k)
    for place in range(5, ITEMS):
        tried = np.argsort(-strength[place], kind="stable")[: 2 * k]
        coefficients = np.linalg.solve(A[np.ix_(tried, tried)], A[tried, place]) * norms[tried]
        assert set(neighbors[place]) == set(tried[np.argsort(-np.abs(coefficients))[:k]])


def test_rows_do_not_depend_on_the_block(monkeypatch):
    monkeypatch.setattr(_sparse_gram, "_HEAD", 5)
    gram = gram_of(log())
    together = factor_rows(gram, 0, ITEMS, 3)
    monkeypatch.setattr(_sparse_factor, "_BLOCK_BYTES", 1)
    apart = [factor_rows(gram, start, start + 7, 3) for start in (0, 7)]
    for whole_rows, parts in zip(together, zip(*apart, strict=True), strict=True):
        assert np.allclose(whole_rows, np.concatenate(parts), atol=1e-6)


@pytest.mark.parametrize(("value", "least"), [(0.9, 0.0), (0.71, 0.1)], ids=["indefinite", "nearly"])
def test_a_matrix_that_lacks_entries_gives_way_to_its_largest_minor_with_such_pivots(value, least):
    matrix = np.eye(4)
    for row, column, entry in ((0, 1, 0.5), (0, 2, value), (1, 2, -0.2), (2, 3, 0.1)):
        matrix[row, column] = matrix[column, row] = entry
    if least == 0.0:
        assert np.linalg.eigvalsh(matrix)[0] < 0.0
    else:
        assert 0.0 < np.linalg.cholesky(matrix)[2, 2] ** 2 < least
    (found,) = _sparse_factor._first_columns(np.stack([matrix]), np.full((1, 4), least))
    assert np.allclose(found[:2], np.linalg.inv(matrix[:2, :2])[0])
    assert (found[2:] == 0.0).all()
    matrix[0, 2] = matrix[2, 0] = 0.3
    (found,) = _sparse_factor._first_columns(np.stack([matrix]), np.full((1, 4), least))
    assert np.allclose(found, np.linalg.inv(matrix)[0])


def test_a_log_of_which_entries_are_left_out_has_small_coefficients(monkeypatch):
    monkeypatch.setattr(_sparse_gram, "_HEAD", 2)
    train = Histories.from_lists([*log().csr().tolil().rows, *[range(ITEMS)] * 200], ITEMS)
    gram = gram_of(train, n_kept=4)
    W = factor(gram, 4)
    assert np.abs(W / W.diagonal()[:, None] * gram.norms / gram.norms[:, None]).max() <= 1.0 + 1e-6


def test_threads_compute_the_rows_of_one(set_threads, monkeypatch):
    monkeypatch.setattr(_sparse_gram, "_HEAD", 4)
    monkeypatch.setattr(_sparse_factor, "_BLOCK_BYTES", 8)
    monkeypatch.setattr(_sparse_factor, "_LEAST_ROWS", 1)
    monkeypatch.setattr(_sparse_factor, "_TURNS", 2)
    gram = gram_of(log(), n_kept=3)
    alone = factor_rows(gram, 0, ITEMS, 4)
    set_threads(2)
    for one, other in zip(factor_rows(gram, 0, ITEMS, 4), alone, strict=True):
        assert (one == other).all()
