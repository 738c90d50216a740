"""All titles of a catalog as one array of letters, with the places of their words."""

from array import array
from dataclasses import dataclass

import numpy as np

from foldin.data import Catalog
from foldin.serve.engine.titles import LETTERS, read_title
from foldin.tensors import Array, Bool, Int32, Int64

__all__ = ["TitleIndex"]


@dataclass(frozen=True, eq=False)
class TitleIndex:
    """The letters of all titles, without spaces, and an entry for each word. Initials of Hangul words follow a title as words.

    Args:
        letters: code points, with a 0 after each line, and more at the end than a query has letters.
        item: item of each word.
        start: position of the first letter of each word.
        stop: position after the last letter of each word.
        end: position after the last letter of the word's line.
        undated: the same without the year at the end of the title.
        begins: whether the title begins with the word, or has only an article before it.
        first: first letter of each word.
        number: place of each word in the vocabulary.
        vocabulary: the distinct words, sorted.
        beginnings: letters from each word on that has `begins`, to the end of its line, sorted.
        beginner: item of each of the beginnings.
        is_stop: whether a position is the `stop` of a word.
    """

    letters: Array
    item: Int32[Array, " words"]
    start: Int32[Array, " words"]
    stop: Int32[Array, " words"]
    end: Int32[Array, " words"]
    undated: Int32[Array, " words"]
    begins: Bool[Array, " words"]
    first: Array
    number: Int64[Array, " words"]
    vocabulary: list[str]
    beginnings: list[str]
    beginner: Int64[Array, " beginnings"]
    is_stop: Bool[Array, " letters"]

    @classmethod
    def of(cls, catalog: Catalog) -> "TitleIndex":
        """The index of a catalog; an item with an empty title has its id as title."""
        lines: list[str] = []
        beginnings: list[tuple[str, int]] = []
        numbers: dict[str, int] = {}
        entries, at = array("i"), 0
        for item, text in enumerate(catalog.titles):
            title = read_title(text if text.strip() else catalog.ids[item])
            for words, first in ((title.words, title.begins_at), (title.initials, ())):
                if not words:
                    continue
                line = "".join(words)
                lines.append(line)
                end = at + len(line)
                undated = end - len(words[-1]) if first and title.dated else end
                for place, word in enumerate(words):
                    if place in first:
                        beginnings.append((line[at - end :], item))
                    number = numbers.setdefault(word, len(numbers))
                    entries.extend((item, at, at + len(word), end, undated, place in first, number))
                    at += len(word)
                at += 1  # the 0 after the line
        beginnings.sort()
        vocabulary = sorted(numbers)
        place_of = np.empty(len(vocabulary), np.int64)
        place_of[[numbers[word] for word in vocabulary]] = np.arange(len(vocabulary))
        item_, start, stop, end_, undated_, begins, number_ = np.array(entries, np.int32).reshape(-1, 7).T.copy()
        letters = _codes("\0".join(lines) + "\0" * LETTERS)
        is_stop = np.zeros(len(letters) + 1, bool)
        is_stop[stop] = True
        return cls(
            letters=letters,
            item=item_,
            start=start,
            stop=stop,
            end=end_,
            undated=undated_,
            begins=begins.astype(bool),
            first=letters[start],
            number=place_of[number_],
            vocabulary=vocabulary,
            beginnings=[letters_ for letters_, _ in beginnings],
            beginner=np.array([item for _, item in beginnings], np.int64),
            is_stop=is_stop,
        )

    def words_with(self, text: str) -> Int64[Array, " found"]:
        """Numbers of the words from whose beginning on a title has these letters; they may go on into the next words."""
        first, *others = _codes(text)
        words = np.flatnonzero(self.first == first)
        for offset, letter in enumerate(others, start=1):
            words = words[self.letters[self.start[words] + offset] == letter]
        return words

    def items_with(self, text: str, *, whole: bool) -> Int32[Array, " found"]:
        """Items whose title has these letters anywhere; an item may occur several times.

        Args:
            text: the letters.
            whole: whether a word must end after them.
        """
        first, *others = _codes(text)
        places = np.flatnonzero(self.letters == first)
        for offset, letter in enumerate(others, start=1):
            places = places[self.letters[places + offset] == letter]
        if whole:
            places = places[self.is_stop[places + len(text)]]
        return self.item[np.searchsorted(self.start, places, side="right") - 1]


def _codes(text: str) -> Array:
    return np.frombuffer(text.encode("utf-32-le"), np.uint32)
