"""Search of items by title, as it is typed: words in any order, typing errors, joined words, diacritics, years, initials.

Items are listed by the kind of their match, the best kind first:

0. the id is the text;
1. the title is the text, with or without its year and its leading article;
2. the title begins with the text, with or without its leading article;
3. the text stands in the title from the beginning of a word on;
4. the title has every word of the text, in any order;
5. the title begins with the text, with typing errors;
6. the title has every word of the text, with typing errors, or the text stands inside a word;
7. only if there is nothing else: the title has words with half of the letters of the text.

Spaces do not matter in the kinds 1 to 3. Within a kind, whole words come before words of which the text has the beginning, fewer
errors before more, then the more popular item, then the smaller index. The last word of the text may be incomplete unless a
space or a punctuation mark follows it.

A text is searched by filtering the positions at which the words of all titles begin, letter by letter. Typing errors are searched
by RapidFuzz among the distinct words, and only if the kinds 0 to 4 do not fill the list, since they come after these anyway. The
first letter of a word is taken for right, or for exchanged with the second, which leaves a tenth of the words to compare.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from operator import itemgetter

import numpy as np
import polars as pl
from rapidfuzz.distance import OSA
from rapidfuzz.process import cdist

from foldin.data import Catalog
from foldin.serve.engine.title_index import TitleIndex
from foldin.serve.engine.titles import Query, errors_allowed, read_query
from foldin.tensors import Array, Bool, Float64, Int64

__all__ = ["TitleSearch"]

_ID, _EXACT, _BEGINS, _CONTAINS, _WORDS, _BEGINS_NEARLY, _WORDS_NEARLY, _PARTLY = range(8)
_STEPS = 1000  # steps of the score within a kind
_NONE = np.iinfo(np.int64).max
_BEGUN = 0.9  # score of a word of which the text has the beginning
_INSIDE = 3  # number of letters from which on a text is searched inside words
_HALF = 0.5  # share of the letters of the text that the last kind needs


class TitleSearch:
    """The titles of a catalog, prepared for search; threads may share it.

    Args:
        catalog: items with ids, counts and, where they have one, titles; an item without a title is found by its id.
    """

    def __init__(self, catalog: Catalog) -> None:
        counts = catalog.table["count"].to_numpy().astype(np.int64)
        self._popular = np.argsort(-counts, kind="stable")
        self._place = np.empty(len(catalog), np.int64)  # 0 for the most popular item
        self._place[self._popular] = np.arange(len(catalog))
        self._ids = pl.Series([one.casefold() for one in catalog.ids], dtype=pl.String)
        self._index = TitleIndex.of(catalog)

    def find(self, text: str, limit: int, *, hidden: Bool[Array, " items"] | None = None) -> list[int]:
        """Indices of the items that a text finds, best first; the most popular items for an empty text.

        Args:
            text: words of a title, or an id.
            limit: maximum number of items.
            hidden: mask of items that are not found; None for none.
        """
        if not text.strip():
            shown = self._popular if hidden is None else self._popular[~hidden[self._popular]]
            return [int(one) for one in shown[:limit]]
        query, ranks = read_query(text), np.full(len(self._place), _NONE, np.int64)
        ranks[(self._ids == text.casefold()).to_numpy()] = _ID * (_STEPS + 1)
        if query.words:
            self._in_order(query, ranks)
            scores = self._scores(query)
            _lower_all(ranks, _WORDS, scores, query)
            matched = ranks != _NONE if hidden is None else (ranks != _NONE) & ~hidden
            if np.count_nonzero(matched) < limit:
                self._misspelled(query, scores, ranks)
        if hidden is not None:
            ranks[hidden] = _NONE
        found = np.flatnonzero(ranks != _NONE)
        order = np.argsort(ranks[found] * len(ranks) + self._place[found])[:limit]  # no two are equal
        return [int(one) for one in found[order]]

    def _in_order(self, query: Query, ranks: Int64[Array, " items"]) -> None:
        """The kinds 1 to 3: from the beginning of a word on, the title has the letters of the text."""
        index, size = self._index, len(query.joined)
        words = index.words_with(query.joined)
        after = index.start[words] + size
        whole = index.is_stop[after]
        if not query.open:
            words, after, whole = words[whole], after[whole], whole[whole]
        begins = index.begins[words]
        exact = begins & ((after == index.end[words]) | (after == index.undated[words]))
        score = np.where(whole, 1.0, _BEGUN)
        for kind, mask in ((_EXACT, exact), (_BEGINS, begins), (_CONTAINS, np.ones_like(begins))):
            _lower(ranks, index.item[words[mask]], kind, score[mask])

    def _scores(self, query: Query) -> Float64[Array, "words items"]:
        """Of each word of the text, 1 for titles that have it, less for those that have a word that it begins, 0 for others."""
        index = self._index
        scores = np.zeros((len(query.words), len(self._place)))
        for number, word in enumerate(query.words):
            words = index.words_with(word)
            after, stop = index.start[words] + len(word), index.stop[words]
            open_ = query.open and number == len(query.words) - 1
            words, score = words[after <= stop], np.where(after == stop, 1.0, _BEGUN if open_ else 0.0)[after <= stop]
            np.maximum.at(scores[number], index.item[words], score)
        return scores

    def _misspelled(self, query: Query, scores: Float64[Array, "words items"], ranks: Int64[Array, " items"]) -> None:
        """The kinds 5 to 7; `scores` are raised by the words that differ from those of the text by typing errors."""
        index, size = self._index, len(query.joined)
        places, like = _near(query.joined, index.beginnings, ((size, 1.0),))
        _lower(ranks, index.beginner[places], _BEGINS_NEARLY, like)
        if size >= _INSIDE:
            inside = index.items_with(query.joined, whole=not query.open)
            _lower(ranks, inside, _WORDS_NEARLY, np.full(len(inside), _BEGUN))
        for number, word in enumerate(query.words):
            open_ = query.open and number == len(query.words) - 1
            begun = [(len(word) + more, _BEGUN) for more in (-1, 0, 1)] if open_ else []
            places, like = _near(word, index.vocabulary, ((None, 1.0), *begun))
            near = np.zeros(len(index.vocabulary))
            near[places] = like
            words = np.flatnonzero(near[index.number]) if len(places) else places
            np.maximum.at(scores[number], index.item[words], near[index.number[words]])
        _lower_all(ranks, _WORDS_NEARLY, scores, query)
        if np.all(ranks == _NONE):
            mean = _mean(scores, query)
            items = np.flatnonzero(mean >= _HALF)
            _lower(ranks, items, _PARTLY, mean[items])


def _near(
    word: str, others: list[str], cuts: Sequence[tuple[int | None, float]]
) -> tuple[Int64[Array, " found"], Float64[Array, " found"]]:
    """(places, likeness) of the words of a sorted list that are like a word: equal, or different by typing errors.

    Args:
        word: word of the text.
        others: words that begin with the first letter of `word` or with its first two letters exchanged are compared.
        cuts: (size, factor) of the comparisons: with how many first letters of the others, or with all, and the likeness of
            equal ones. The largest likeness counts.
    """
    allowed = errors_allowed(word)
    if not allowed:
        return np.empty(0, np.int64), np.empty(0)
    places: set[int] = set()
    for start in (word[0], word[1] + word[0]):
        key = itemgetter(slice(len(start)))
        places.update(range(bisect_left(others, start, key=key), bisect_right(others, start, key=key)))
    compared = sorted(places)
    like = np.zeros(len(compared))
    for size, factor in cuts:
        words = [others[place][:size] for place in compared]
        errors = cdist([word], words, scorer=OSA.distance, score_cutoff=allowed, dtype=np.uint8)[0]
        like = np.maximum(like, np.where(errors <= allowed, factor * (1.0 - errors / len(word)), 0.0))
    found = np.flatnonzero(like)
    return np.array(compared, np.int64)[found], like[found]


def _mean(scores: Float64[Array, "words items"], query: Query) -> Float64[Array, " items"]:
    """Mean score of the words of the text, weighted by their numbers of letters."""
    sizes = np.array([len(word) for word in query.words], np.float64)
    return sizes @ scores / sizes.sum()


def _lower_all(ranks: Int64[Array, " items"], kind: int, scores: Float64[Array, "words items"], query: Query) -> None:
    """Lower the ranks of the items that have every word of the text."""
    items = np.flatnonzero(scores.min(axis=0))
    _lower(ranks, items, kind, _mean(scores, query)[items])


def _lower(ranks: Int64[Array, " items"], items: Array, kind: int, score: Float64[Array, " found"]) -> None:
    """Lower the ranks of items to those of a kind and a score; lower ranks stay. An item may occur several times."""
    steps = np.rint(_STEPS * (1.0 - score)).astype(np.int64)
    np.minimum.at(ranks, items, kind * (_STEPS + 1) + steps)
