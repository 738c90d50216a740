"""Titles and queries as words."""

import unicodedata

import pytest

from foldin.serve.engine.titles import LETTERS, WORDS, errors_allowed, read_query, read_title


def typed(keys: str) -> str:
    """Letters of Hangul as they are kept."""
    return unicodedata.normalize("NFKD", keys)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Toy Story (1995)", ("toy", "story", "1995")),
        ("Matrix, The (1999)", ("the", "matrix", "1999")),
        ("Good, the Bad and the Ugly, The (1966)", ("the", "good", "the", "bad", "and", "the", "ugly", "1966")),
        (
            "City of Lost Children, The (Cité, La) (1995)",
            ("the", "city", "of", "lost", "children", "cite", "la", "1995"),
        ),
        ("Avventura, L' (1960)", ("l", "avventura", "1960")),
        ("Amélie", ("amelie",)),
        ("STRASSE, Straße", ("strasse", "strasse")),
        ("Łódź Ærø İzmir", ("lodz", "aero", "izmir")),
        ("Йога", ("иога",)),
        ("Schindler's List, Schindler’s", ("schindlers", "list", "schindlers")),
        ("Fast & Furious", ("fast", "and", "furious")),
        ("E.T. - 8½", ("e", "t", "81", "2")),
        ("千と千尋", ("千", "と", "千", "尋")),
        ("がら", ("か\u3099", "ら")),
        ("ｶﾞﾗ", ("カ\u3099", "ラ")),
        ("🎬👍🏽 ok", ("🎬", "👍", "🏽", "ok")),
        ("???", ("???",)),
        ("a\0b", ("a", "b")),
        ("   ", ()),
        ("", ()),
    ],
)
def test_words_of_titles(text, words):
    assert read_title(text).words == words


def test_a_year_is_one_only_at_the_end_and_beside_other_words():
    assert read_title("Up (2009)").dated
    assert read_title("Up (2009) ").dated
    assert not read_title("Up 2009").dated
    assert not read_title("(2009)").dated
    assert not read_title("Up (2009) Redux").dated
    assert not read_title("Up (20091)").dated


def test_a_title_begins_at_its_article_or_after_it():
    assert read_title("Matrix, The").begins_at == (0, 1)
    assert read_title("Los Angeles").begins_at == (0, 1)
    assert read_title("Matrix").begins_at == (0,)
    assert read_title("The").begins_at == (0,)


def test_hangul_is_kept_as_it_is_typed():
    title = read_title("매트릭스 값 과학, X맨")
    assert title.words == tuple(map(typed, ("ㅁㅐㅌㅡㄹㅣㄱㅅㅡ", "ㄱㅏㅂㅅ", "ㄱㅗㅏㅎㅏㄱ", "xㅁㅐㄴ")))
    assert title.initials == tuple(map(typed, ("ㅁㅌㄹㅅ", "ㄱ", "ㄱㅎ", "ㅁ")))
    assert read_title("Matrix").initials == ()
    # Every state of the input while 매트 is typed begins the word.
    for state in ("ㅁ", "매", "맽", "매트"):
        assert title.words[0].startswith(read_query(state).joined)
    assert read_query("ㄳ").words == (typed("ㄱㅅ"),)


def test_every_syllable_has_the_letters_of_its_keystrokes():
    # The arithmetic of Unicode: a syllable is 0xAC00 + (initial · 21 + vowel) · 28 + final.
    compound = {"ㅘ": "ㅗㅏ", "ㅙ": "ㅗㅐ", "ㅚ": "ㅗㅣ", "ㅝ": "ㅜㅓ", "ㅞ": "ㅜㅔ", "ㅟ": "ㅜㅣ", "ㅢ": "ㅡㅣ"}
    compound |= {"ㄳ": "ㄱㅅ", "ㄵ": "ㄴㅈ", "ㄶ": "ㄴㅎ", "ㄺ": "ㄹㄱ", "ㄻ": "ㄹㅁ", "ㄼ": "ㄹㅂ", "ㄽ": "ㄹㅅ"}
    compound |= {"ㄾ": "ㄹㅌ", "ㄿ": "ㄹㅍ", "ㅀ": "ㄹㅎ", "ㅄ": "ㅂㅅ"}
    initials, vowels = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ", "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
    finals = ["", *"ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ"]
    for at in range(0, 19 * 21 * 28, 5):  # every fifth meets all letters, as 5 shares no factor with the sizes
        keys = initials[at // 588], vowels[at // 28 % 21], finals[at % 28]
        expected = "".join(compound.get(key, key) for key in keys)
        assert read_title(chr(0xAC00 + at)).words == (typed(expected),), chr(0xAC00 + at)


def test_the_last_word_is_complete_once_something_follows_it():
    assert read_query("the god").open
    assert read_query("schindler'").open
    for text in ("the god ", "the god,", "god.", "matrix, the", ""):
        assert not read_query(text).open
    assert read_query("Matrix, The (1999)").words == ("the", "matrix", "1999")


def test_very_long_texts_are_read_to_a_bound():
    assert len(read_title("x" * 10_000).words[0]) == LETTERS
    assert len(read_title("x " * 10_000).words) == WORDS
    assert set(read_title("(, the " * 5_000).words) == set(read_title(", the " * 5_000).words) == {"the"}
    assert len(read_query("\ufdfa" * 10_000).joined) <= LETTERS
    assert len(read_query("y " * 10_000).words) <= 16


def test_short_words_numbers_and_initials_allow_no_errors():
    words = ("the", "1999", "matrix2", typed("ㅁㅌㄹㅅㄱ"), "star", "matrix", "revolutions", typed("ㅁㅐㅌㅡ"))
    assert [errors_allowed(word) for word in words] == [0, 0, 0, 0, 1, 1, 2, 1]
