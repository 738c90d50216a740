"""Search of titles: what is found, in which order, on hostile titles, and against a search that is spelled out."""

import functools

import numpy as np
import polars as pl
import pytest

from foldin.data import Catalog
from foldin.serve.engine.search import TitleSearch
from foldin.serve.engine.titles import Query, Title, errors_allowed, read_query, read_title

FILMS = {  # id → title, training events
    "toy": ("Toy Story (1995)", 215),
    "toy2": ("Toy Story 2 (1999)", 97),
    "matrix": ("Matrix, The (1999)", 278),
    "reloaded": ("Matrix Reloaded, The (2003)", 110),
    "making": ("Making of The Matrix (1999)", 400),
    "godfather": ("Godfather, The (1972)", 192),
    "godfather2": ("Godfather: Part II, The (1974)", 129),
    "amelie": ("Amelie (Fabuleux destin d'Amélie Poulain, Le) (2001)", 120),
    "new hope": ("Star Wars: Episode IV - A New Hope (1977)", 251),
    "stardust": ("Stardust (2007)", 300),
    "wars": ("Wars of the Star", 900),
    "spider": ("Spider-Man (2002)", 122),
    "ring": ("Lord of the Rings: The Fellowship of the Ring, The (2001)", 198),
    "rings": ("Lord of the Rings, The (1978)", 9),
    "up": ("Up (2009)", 105),
    "upside": ("Upside Down (2012)", 500),
    "1984": ("1984", 15),
    "300": ("300 (2007)", 80),
    "3000": ("3000 Miles to Graceland (2001)", 90),
    "list": ("Schindler's List (1993)", 220),
    "매트릭스": ("매트릭스 (1999)", 50),
    "왕": ("반지의 제왕: 왕의 귀환 (2003)", 60),
    "千": ("千と千尋の神隠し (2001)", 87),
    "film": ("🎬🍿", 3),
    "marks": ("???", 2),
    "empty": ("", 1),
    "blank": ("  ", 1),
    "B0-07 x": (None, 1),
    "long": ("x" * 10_000, 1),
    "letters": ("Å" * 400, 1),
}


def search_of(items: dict[str, tuple[str | None, int]]) -> TitleSearch:
    titles, counts = zip(*items.values(), strict=True) if items else ((), ())
    table = {"item": list(items), "title": list(titles), "count": list(counts)}
    return TitleSearch(Catalog(pl.DataFrame(table, schema={"item": pl.String, "title": pl.String, "count": pl.Int64})))


@pytest.fixture(scope="module")
def find():
    """Finds ids of the films."""
    search, ids = search_of(FILMS), list(FILMS)
    return lambda text, limit=5: [ids[at] for at in search.find(text, limit)]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("the matrix", ["matrix", "reloaded", "making"]),  # the title, a beginning of one, within one
        ("MATRIX, THE (1999)", ["matrix"]),
        ("matrix the", ["making", "matrix", "reloaded"]),  # every word, in another order: by popularity
        ("matrix 1999", ["matrix", "making"]),
        ("1999 matrix", ["making", "matrix"]),
        ("godfather 1972", ["godfather"]),
        ("toystory", ["toy", "toy2"]),
        ("toy story", ["toy", "toy2"]),
        ("story toy", ["toy", "toy2"]),
        ("spiderman", ["spider"]),
        ("spider man", ["spider"]),
        ("schindlers list", ["list"]),
        ("amélie", ["amelie"]),
        ("AMELIE POULAIN", ["amelie"]),
        ("up", ["up", "upside"]),  # the whole title comes before more popular ones
        ("ups", ["upside"]),
        ("star ", ["new hope", "wars"]),  # the word is complete
        ("star", ["new hope", "stardust", "wars"]),  # whole words before begun ones before later ones
        ("star wars", ["new hope", "wars"]),
        ("lord rings", ["ring", "rings"]),
        ("the lord of the rings", ["rings", "ring"]),
        ("1984", ["1984"]),
        ("300", ["300", "3000"]),
        ("300 ", ["300"]),
        ("amtrix", ["matrix", "reloaded", "making"]),
        ("matirx", ["matrix", "reloaded", "making"]),  # errors, and beginnings of titles first here too
        ("godfahter", ["godfather", "godfather2"]),
        ("godfahte", ["godfather", "godfather2"]),
        ("the goodfather", ["godfather", "godfather2"]),
        ("toystroy", ["toy", "toy2"]),
        ("schindlre", ["list"]),
        ("father", ["godfather", "godfather2"]),  # inside a word
        ("matrix 1972", ["making", "matrix", "reloaded"]),  # more than half of the letters, for want of better
        ("4000 miles", ["3000"]),
        ("매트릭스", ["매트릭스"]),
        ("맽", ["매트릭스"]),
        ("메트릭스", ["매트릭스"]),
        ("ㅁㅌㄹㅅ", ["매트릭스"]),
        ("ㅁㅌ", ["매트릭스"]),
        ("왕의 반지", ["왕"]),
        ("ㅂㅈㅇㅈㅇ", ["왕"]),
        ("神隠し", ["千"]),
        ("🍿", ["film"]),
        ("???", ["marks"]),
        ("empty", ["empty"]),
        ("BLANK", ["blank"]),
        ("b0-07 X", ["B0-07 x"]),
        ("x 07", ["B0-07 x"]),
        ("xxx", ["long"]),
        ("åå", ["letters"]),
    ],
)
def test_what_is_found_first(find, text, first):
    assert find(text)[: len(first)] == first


@pytest.mark.parametrize("text", ["zzzz", "1985", "ㅎㅎ", "'", "\u200b", "godfather 1985 2001 1999", "q" * 301])
def test_what_is_not_there_is_not_found(find, text):
    assert find(text) == []


def test_an_empty_text_finds_the_most_popular_items(find):
    assert find("", 4) == find(" \t", 4) == ["wars", "upside", "making", "stardust"]
    assert find("", 100) == sorted(FILMS, key=lambda name: -FILMS[name][1])
    assert find("matrix", 2) == find("matrix", 100)[:2]


def test_catalogs_of_nothing_and_of_items_without_titles():
    assert search_of({}).find("x", 5) == search_of({}).find("", 5) == []
    plain = TitleSearch(Catalog.from_ids(["a-1", "A-1", "a-10", "b"]))
    assert plain.find("a-1", 5) == [0, 1, 2]
    assert plain.find("b", 5) == [3]
    assert search_of({"x": ("'", 1), "y": ("\0\0", 1)}).find("x", 5) == [0]


# --- the same search, spelled out over lists of words ---


@functools.cache
def osa(one: str, other: str) -> int:
    """Errors between two words: letters that are missing, superfluous, wrong, or exchanged with their neighbor."""
    table = [[i + j if i * j == 0 else 0 for j in range(len(other) + 1)] for i in range(len(one) + 1)]
    for i in range(1, len(one) + 1):
        for j in range(1, len(other) + 1):
            costs = [table[i - 1][j] + 1, table[i][j - 1] + 1, table[i - 1][j - 1] + (one[i - 1] != other[j - 1])]
            if i > 1 and j > 1 and one[i - 1] == other[j - 2] and one[i - 2] == other[j - 1]:
                costs.append(table[i - 2][j - 2] + 1)
            table[i][j] = min(costs)
    return table[-1][-1]


def likeness(word: str, other: str) -> float:
    errors, allowed = osa(word, other), errors_allowed(word)
    begins = other.startswith((word[0], word[1::-1]))
    return 1 - errors / len(word) if allowed and begins and errors <= allowed else 0.0


def word_score(word: str, words: tuple[str, ...], *, last: bool, errors: bool) -> float:
    found = [0.0]
    for other in words:
        found += [1.0] * (word == other) + [0.9] * (last and other.startswith(word))
        if errors:
            found.append(likeness(word, other))
            found += [0.9 * likeness(word, other[: len(word) + more]) for more in (-1, 0, 1) if last]
    return max(found)


@functools.cache
def kind_and_score(title: Title, query: Query) -> list[tuple[int, float]]:
    """Every kind of match of a title, with its score."""
    found, joined = [], query.joined
    for words, begins in ((title.words, title.begins_at), (title.initials, ())):
        for place in range(len(words)):
            rest = "".join(words[place:])
            bounds = {len("".join(words[place:stop])) for stop in range(place, len(words) + 1)}
            if rest.startswith(joined) and (query.open or len(joined) in bounds):
                score = 1.0 if len(joined) in bounds else 0.9
                ends = {rest, "".join(words[place:-1])} if title.dated else {rest}
                found.append((3, score))
                found += [(2, score)] * (place in begins) + [(1, score)] * (place in begins and joined in ends)
            if place in begins:
                found.append((5, likeness(joined, rest[: len(joined)])))
        line, stops = "".join(words), {len("".join(words[:stop])) for stop in range(len(words) + 1)}
        places = [at for at in range(len(line)) if line.startswith(joined, at)]
        if len(joined) >= 3 and any(query.open or at + len(joined) in stops for at in places):
            found.append((6, 0.9))
    everything = (*title.words, *title.initials)
    for kind, errors in ((4, False), (6, True)):
        last = len(query.words) - 1
        scores = [
            word_score(word, everything, last=query.open and at == last, errors=errors)
            for at, word in enumerate(query.words)
        ]
        mean = sum(len(word) * score for word, score in zip(query.words, scores, strict=True)) / len(joined)
        found.append((kind, mean if min(scores) > 0 else 0.0))
        found.append((7, mean if errors and mean >= 0.5 else 0.0))
    return [(kind, score) for kind, score in found if score > 0]


def spelled_out(items: dict[str, tuple[str, int]], text: str, limit: int) -> list[int]:
    query, ranked = read_query(text), []
    for at, (name, (title, count)) in enumerate(items.items()):
        kinds = kind_and_score(read_title(title), query) + [(0, 1.0)] * (name.casefold() == text.casefold())
        ranked += [(kind, -round(1000 * score), -count, at) for kind, score in kinds]
    if any(one[0] < 7 for one in ranked):
        ranked = [one for one in ranked if one[0] < 7]
    return list(dict.fromkeys(at for *_, at in sorted(ranked)))[:limit]


@pytest.mark.parametrize("seed", range(4))
def test_the_order_is_that_of_the_search_spelled_out(seed):
    rng = np.random.default_rng(seed)
    vocabulary = [
        "the",
        "a",
        "ab",
        "abba",
        "abbacus",
        "baba",
        "babalu",
        "star",
        "starry",
        "stardust",
        "1999",
        "매트",
        "매트릭스",
    ]

    def draw(most: int) -> list[str]:
        return [vocabulary[at] for at in rng.integers(len(vocabulary), size=rng.integers(1, most + 1))]

    tails = ("", "", ", The", " (1999)", ", The (2001)")
    items = {
        f"id {at}": (" ".join(draw(4)).title() + tails[rng.integers(len(tails))], int(rng.integers(5)))
        for at in range(30)
    }
    search, kinds = search_of(items), set()
    for _ in range(40):
        text = " ".join(draw(3))
        for _ in range(rng.integers(3)):  # errors of typing, and words that are not complete
            at = int(rng.integers(len(text)))
            text = (text[:at] + text[at + 1 :], text[:at] + "b" + text[at:], text[: at + 1])[rng.integers(3)] or "a"
        text += " " * int(rng.integers(4) == 0)
        for limit in (3, 30):
            assert search.find(text, limit) == spelled_out(items, text, limit), text
        kinds |= {
            kind for title, _ in items.values() for kind, _ in kind_and_score(read_title(title), read_query(text))
        }
    assert kinds >= {1, 2, 3, 4, 5, 6, 7}


def test_the_service_finds_items_as_the_library_does(client):
    (found,) = client.get("/v1/items", params={"q": "flim 7 the"}).json()["items"]
    assert (found["item"], found["title"], found["similarity"]) == ("i7", "Film 7, the odd one", None)
    assert [one["item"] for one in client.get("/v1/items", params={"q": "even film 12"}).json()["items"]] == ["i12"]
    popular = client.get("/v1/items", params={"limit": 3, "model": "ease"}).json()["items"]
    assert [one["count"] for one in popular] == sorted((one["count"] for one in popular), reverse=True)
