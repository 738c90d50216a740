"""Search of 60,000 titles as they are typed: foldin's search against a substring search and RapidFuzz over all titles.

The titles are those of `ml-latest-small`, and others made of their words and of halves of their words. Some real titles are
looked for in several ways: as people write them, with their words in another order, with one typing error of four kinds in the
longest word, without spaces, and with the year. `found` is the share of them among the first eight results for the whole
text, `found_at_60_percent` for the first 60 % of its letters; the times are of single keystrokes, each a list of eight results.

Both others are given what helps them: `rapidfuzz` is `process.extract` with `WRatio` over titles that foldin's `read_title` has
folded beforehand (`Matrix, The` is `the matrix`), which the texts are made with too. `substring` is a scan for titles that
contain the text, the most popular first (the service's search before this one), on the titles as they are: that it does not find
`the matrix` is its fault. Real titles are more popular than all made-up ones; foldin's search and `substring` break ties by
popularity, WRatio by the order of the titles, which is the same.
"""

import csv
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import torch
from common import arguments, write
from rapidfuzz import fuzz, process

from foldin.data import Catalog
from foldin.serve.engine.search import TitleSearch
from foldin.serve.engine.titles import read_title

LISTED = 8  # as many as the studio shows
PART = 0.6  # share of the letters of a text that are typed
LETTERS = "abcdefghijklmnopqrstuvwxyz"
Find = Callable[[str], list[int]]


def real_titles(path: Path) -> list[str]:
    with path.open(encoding="utf-8", newline="") as file:
        return [row["title"] for row in csv.DictReader(file)]


def made_up(real: list[str], count: int, rng: np.random.Generator) -> list[str]:
    """Titles of the words of real ones, as frequent as there; every fourth word is the halves of two of them."""
    words = [word for title in real for word in title.split()[:-1]] or ["film"]
    found = []
    for _ in range(count):
        drawn = [words[at] for at in rng.integers(len(words), size=rng.integers(1, 6))]
        for place in np.flatnonzero(rng.random(len(drawn)) < 0.25):
            other = words[rng.integers(len(words))]
            drawn[place] = drawn[place][: (len(drawn[place]) + 1) // 2] + other[len(other) // 2 :]
        found.append(f"{' '.join(drawn)} ({rng.integers(1920, 2026)})")
    return found


def misspelled(word: str, rng: np.random.Generator) -> dict[str, str]:
    """A word with one typing error at a place of it: kind of the error → word."""
    at = int(rng.integers(max(1, len(word) - 1)))
    first, rest = word[:at], word[at:]
    return {
        "exchanged_letters": first + rest[:2][::-1] + rest[2:],
        "missing_letter": first + rest[1:],
        "doubled_letter": first + rest[:1] + rest,
        "wrong_letter": first + str(rng.choice([one for one in LETTERS if one != word[at]])) + rest[1:],
    }


def texts_for(title: str, rng: np.random.Generator) -> dict[str, str]:
    """How a title is looked for: kind → text, without the year but for `with_year`."""
    named, _, year = title.partition(" (")
    words = list(read_title(named).words)
    longest = max(range(len(words)), key=lambda at: len(words[at]))
    errors = misspelled(words[longest], rng)
    return {
        "as_written": " ".join(words),
        "other_order": " ".join(words[at] for at in rng.permutation(len(words))),
        **{kind: " ".join([*words[:longest], wrong, *words[longest + 1 :]]) for kind, wrong in errors.items()},
        "joined": "".join(words),
        "with_year": " ".join([*words, year[-5:].strip("()")]).strip(),
    }


def substring(catalog: Catalog) -> Find:
    """The service's search before this one."""
    counts = catalog.table["count"].to_list()

    def find(text: str) -> list[int]:
        folded = text.casefold()
        found = [
            at
            for at, title in enumerate(catalog.titles)
            if folded in title.casefold() or folded == catalog.ids[at].casefold()
        ]
        found.sort(key=lambda at: (not catalog.titles[at].casefold().startswith(folded), -counts[at], at))
        return found[:LISTED]

    return find


def plain_rapidfuzz(catalog: Catalog) -> Find:
    folded = [" ".join(read_title(title).words) for title in catalog.titles]

    def find(text: str) -> list[int]:
        return [at for _, _, at in process.extract(text, folded, scorer=fuzz.WRatio, limit=LISTED)]

    return find


def share_found(find: Find, titles: list[str], texts: list[tuple[int, str]]) -> float:
    """Share of the titles, by their places, that are among the results for their texts; equal titles are as good."""
    return float(np.mean([titles[at] in [titles[one] for one in find(text)] for at, text in texts]))


def milliseconds(find: Find, keystrokes: list[str]) -> np.ndarray:
    times = []
    for text in keystrokes:
        start = time.perf_counter()
        find(text)
        times.append(1000 * (time.perf_counter() - start))
    return np.array(times)


def main() -> None:
    options = arguments(
        __doc__,
        name="search_titles",
        folder=Path(__file__).parent,
        titles=60_000,
        targets=150,
        threads=1,
        keystrokes=400,
        tiny={"titles": 300, "targets": 5, "keystrokes": 20},
    )
    torch.set_num_threads(options.threads)
    rng = np.random.default_rng(0)
    real = real_titles(options.data / "ml-latest-small" / "movies.csv")[: options.titles]
    titles = real + made_up(real, options.titles - len(real), rng)
    counts = np.sort(rng.zipf(1.3, len(titles)).clip(max=10**6))[::-1]  # real titles are the popular ones
    ids = [str(at) for at in range(len(titles))]
    catalog = Catalog(pl.DataFrame({"item": ids, "title": titles, "count": counts.astype(np.int64)}))
    start = time.perf_counter()
    search = TitleSearch(catalog)
    prepared = time.perf_counter() - start
    ways: dict[str, Find] = {
        "ours": lambda text: search.find(text, LISTED),
        "substring": substring(catalog),
        "rapidfuzz": plain_rapidfuzz(catalog),
    }
    targets = [(int(at), texts_for(titles[at], rng)) for at in rng.choice(len(real), options.targets, replace=False)]
    typed = [text[:letters] for _, texts in targets for text in texts.values() for letters in range(1, len(text) + 1)]
    keystrokes = [typed[at] for at in rng.choice(len(typed), options.keystrokes)]
    kinds = {kind: [(at, texts[kind]) for at, texts in targets] for kind in targets[0][1]}
    begun = {kind: [(at, text[: math.ceil(PART * len(text))]) for at, text in texts] for kind, texts in kinds.items()}
    found, found_early = (
        {way: {kind: share_found(find, titles, one) for kind, one in some.items()} for way, find in ways.items()}
        for some in (kinds, begun)
    )
    times = {way: milliseconds(find, keystrokes) for way, find in ways.items()}
    median = {way: float(np.median(one)) for way, one in times.items()}
    write(
        options.json,
        "search_titles",
        settings={"titles": len(titles), "real": len(real), "targets": len(targets), "keystrokes": len(keystrokes)},
        figures={
            "found": found,
            "found_at_60_percent": found_early,
            "milliseconds": median,
            "milliseconds_99": {way: float(np.quantile(one, 0.99)) for way, one in times.items()},
            "milliseconds_most": {way: float(one.max()) for way, one in times.items()},
            "seconds_to_prepare": prepared,
        },
        ratios={way: median[way] / median["ours"] for way in ("substring", "rapidfuzz")},
    )


if __name__ == "__main__":
    main()
