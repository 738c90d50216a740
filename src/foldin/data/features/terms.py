"""Categories and words: several of a vocabulary for each item, as one-hot values or by TF-IDF.

    w_it = n_it (1 + ln((1 + n) / (1 + n_t))),   divided by the length of the item's row

where n_it is how often item i has the term t, and n_t how many of the n training items have it. Terms that no training item has
are not in the vocabulary, and an item without a known term has a row of zeros.

Source: sparckjones1972, smoothed as in scikit-learn.
"""

import re
from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl
import scipy.sparse

from foldin.data.features.columns import FeatureColumn, FittedColumn
from foldin.errors import DataError
from foldin.tensors import Array, Float64

__all__ = ["Categories", "FittedTerms", "Text"]

WEIGHTINGS = ("tf-idf", "one-hot")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, kw_only=True)
class _Terms(FeatureColumn):
    """A column each of whose values is a number of terms.

    Args:
        weighting: `tf-idf`, or `one-hot` for 1 at each term that a value has.
        min_items: training items that must have a term, so that it is in the vocabulary.
    """

    weighting: str = "tf-idf"
    min_items: int = 1

    joint: ClassVar[str]  # between the column and the term in a name

    def __post_init__(self) -> None:
        if self.weighting not in WEIGHTINGS:
            raise DataError(f"features: {self.column}: weighting = {self.weighting!r}: one of {', '.join(WEIGHTINGS)}")

    @abstractmethod
    def split(self, values: pl.Series) -> list[list[str]]:
        """The terms of each value; none for a missing one."""

    def fit(self, values: pl.Series) -> "FittedTerms":
        listed = self.split(values)
        having = Counter(term for terms in listed for term in set(terms))
        kept = sorted(term for term, count in having.items() if count >= self.min_items)
        rarity = 1.0 + np.log((1.0 + len(listed)) / (1.0 + np.array([having[term] for term in kept], np.float64)))
        return FittedTerms(self, tuple(kept), np.ones(len(kept)) if self.weighting == "one-hot" else rarity)


@dataclass(frozen=True, kw_only=True)
class Categories(_Terms):
    """Categories such as genres or a brand: one or several for each item.

    Args:
        separator: what stands between several categories of one text; lists need none.
    """

    separator: str = "|"
    joint = "="

    def split(self, values: pl.Series) -> list[list[str]]:
        if values.dtype.is_nested():
            if not isinstance(values.dtype, pl.List | pl.Array) or values.dtype.inner.is_nested():
                raise DataError(f"features: {self.column}: categories were expected, not {values.dtype}")
            return [_distinct([] if one is None else one) for one in values.to_list()]
        texts = values.cast(pl.String).to_list()
        return [_distinct([] if one is None else one.split(self.separator)) for one in texts]


@dataclass(frozen=True, kw_only=True)
class Text(_Terms):
    """Words of a text such as a title, in any case."""

    joint = ":"

    def split(self, values: pl.Series) -> list[list[str]]:
        if values.dtype not in (pl.String, pl.Null):
            raise DataError(f"features: {self.column}: text was expected, not {values.dtype}")
        return [[] if one is None else _WORD.findall(one.casefold()) for one in values.to_list()]


def _distinct(values: Sequence[Any]) -> list[str]:
    stripped = (str(one).strip() for one in values if one is not None)
    return list(dict.fromkeys(one for one in stripped if one))


@dataclass(frozen=True, eq=False)
class FittedTerms(FittedColumn):
    """A vocabulary.

    Args:
        of: the column.
        terms: the vocabulary, in alphabetical order.
        rarity: inverse document frequency of each term; ones for one-hot values.
    """

    kind = "terms"
    of: _Terms
    terms: tuple[str, ...]
    rarity: Float64[Array, " terms"]

    @property
    def column(self) -> str:  # type: ignore[override]
        return self.of.column

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"{self.of.column}{self.of.joint}{term}" for term in self.terms)

    def transform(self, values: pl.Series) -> scipy.sparse.csr_array:
        place = {term: at for at, term in enumerate(self.terms)}
        found = [[place[term] for term in terms if term in place] for terms in self.of.split(values)]
        rows = np.repeat(np.arange(len(found)), [len(one) for one in found])
        columns = np.array([at for one in found for at in one], np.int64)
        shape = (len(found), len(self.terms))
        counts = scipy.sparse.coo_array((np.ones(len(rows)), (rows, columns)), shape=shape).tocsr()
        if self.of.weighting == "one-hot":
            counts.data[:] = 1.0  # however often a value has the term
        counts.data *= self.rarity[counts.indices]
        if self.of.weighting == "tf-idf":
            lengths = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=1)).ravel())
            counts.data /= np.repeat(lengths, np.diff(counts.indptr))
        counts.data *= self.of.weight
        return counts

    def as_dict(self) -> dict[str, Any]:
        about = {"column": self.of.column, "weight": self.of.weight, "weighting": self.of.weighting}
        about |= {"min_items": self.of.min_items}
        if isinstance(self.of, Categories):
            about["separator"] = self.of.separator
        read = "categories" if isinstance(self.of, Categories) else "text"
        return {"read_as": read, "of": about, "terms": list(self.terms), "rarity": self.rarity.tolist()}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "FittedTerms":
        of: _Terms = {"categories": Categories, "text": Text}[stored["read_as"]](**stored["of"])
        return cls(of, tuple(stored["terms"]), np.array(stored["rarity"], np.float64))
