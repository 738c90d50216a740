"""Titles as words to search: without case, diacritics, punctuation and the catalogs' `Matrix, The`; Hangul as typed letters.

A word is a run of letters and digits; a Chinese or Japanese character and a pictograph are a word each, since these are written
without spaces. Hangul syllables become the letters of their keystrokes (매 → ㅁㅐ), so that a syllable that is not complete yet
is a beginning of the word, and a wrong vowel is one wrong letter.
"""

import re
import unicodedata
from dataclasses import dataclass

__all__ = ["LETTERS", "Query", "Title", "errors_allowed", "read_query", "read_title"]

LETTERS = 300  # of a title that are searched
WORDS = 48  # of a title that are searched
QUERY = 100  # letters of a text to search that are read
QUERY_WORDS = 16  # of a text to search that are searched one by one

_MARKS = re.compile("[\u0300-\u036f]")  # accents of Latin, Greek and Cyrillic letters, which Unicode separates
_SINGLE = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\u2600-\u27bf\U0001f000-\U0001faff"
_WORD = re.compile(f"[{_SINGLE}][\u3099\u309a]?|[^\\W_{_SINGLE}]+")
_ARTICLES = "the|a|an|le|la|les|l'|un|une|il|lo|el|los|las|der|die|das"
_LAST_ARTICLE = re.compile(rf"^([^(]+), ({_ARTICLES})\s*(?=\(|$)")
_LEADING = set(_ARTICLES.replace("'", "").split("|"))
_YEAR = re.compile(r"\((\d{4})\)\s*$")


def _letters(text: str) -> str:
    return unicodedata.normalize("NFKD", text)


# How the final consonants and the vowels of Hangul are typed, in the order of Unicode.
_FINALS = [*"ㄱㄲ", "ㄱㅅ", "ㄴ", "ㄴㅈ", "ㄴㅎ", *"ㄷㄹ", "ㄹㄱ", "ㄹㅁ", "ㄹㅂ", "ㄹㅅ", "ㄹㅌ", "ㄹㅍ", "ㄹㅎ"]
_FINALS += [*"ㅁㅂ", "ㅂㅅ", *"ㅅㅆㅇㅈㅊㅋㅌㅍㅎ"]
_VOWELS = [*"ㅏㅐㅑㅒㅓㅔㅕㅖㅗ", "ㅗㅏ", "ㅗㅐ", "ㅗㅣ", *"ㅛㅜ", "ㅜㅓ", "ㅜㅔ", "ㅜㅣ", *"ㅠㅡ", "ㅡㅣ", "ㅣ"]
_TYPED = {0x11A8 + at: _letters(one) for at, one in enumerate(_FINALS)} | {
    0x1161 + at: _letters(one) for at, one in enumerate(_VOWELS)
}
_OTHER = {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "&": " and "}
_SPELLED = str.maketrans(_OTHER | dict.fromkeys("'’‘`ʼ", ""))
_INITIAL = re.compile("[\u1100-\u1112]")
_INITIALS = re.compile("[\u1100-\u1112]+")


@dataclass(frozen=True)
class Title:
    """A title in words.

    Args:
        words: its words in order, an article at the end of the title moved to the front.
        initials: of each Hangul word, the initial consonants of its syllables; empty without Hangul.
        dated: whether the last word is the year in parentheses at the end of the title.
    """

    words: tuple[str, ...]
    initials: tuple[str, ...]
    dated: bool

    @property
    def begins_at(self) -> tuple[int, ...]:
        """Positions of the words at which a query may begin that begins the title: the first, and the one after an article."""
        return (0, 1) if len(self.words) > 1 and self.words[0] in _LEADING else (0,)


def read_title(text: str) -> Title:
    """The words of a title, of which only the beginning is read if it is very long; a title of mere punctuation is one word."""
    folded = _fold(text[:LETTERS])
    found = _words(_spelled(folded))[:WORDS]
    dated = _YEAR.search(folded)
    initials = tuple(short for word in found if (short := "".join(_INITIAL.findall(word))))
    words = tuple(word.translate(_TYPED) for word in found)
    return Title(words, initials, len(words) > 1 and dated is not None and words[-1] == dated[1])


@dataclass(frozen=True)
class Query:
    """A text to search.

    Args:
        words: its words.
        joined: all letters of the words.
        open: whether the last word may be incomplete, because nothing follows it.
    """

    words: tuple[str, ...]
    joined: str
    open: bool


def read_query(text: str) -> Query:
    """The words of a text to search, of which only the beginning is read if it is very long."""
    spelled = _spelled(_fold(text[:QUERY]))
    found = _words(spelled)
    words = tuple(word.translate(_TYPED) for word in found)
    return Query(words[:QUERY_WORDS], "".join(words)[:LETTERS], bool(found) and spelled.endswith(found[-1]))


def errors_allowed(word: str) -> int:
    """Number of typing errors that a word may have: none in short words, numbers and initials, two in long words."""
    if len(word) < 4 or any(letter.isdigit() for letter in word) or _INITIALS.fullmatch(word):
        return 0
    return 1 if len(word) < 8 else 2


def _fold(text: str) -> str:
    """A text without case and accents, its characters as Unicode takes them apart."""
    return _MARKS.sub("", _letters(_letters(text).casefold())).replace("\0", " ")


def _spelled(folded: str) -> str:
    """A folded text with an article at the end moved to the front, without apostrophes."""
    return _LAST_ARTICLE.sub(r"\2 \1 ", folded).translate(_SPELLED)


def _words(spelled: str) -> list[str]:
    found = _WORD.findall(spelled)
    return found or ([spelled.strip()] if spelled.strip() else [])
