"""Tiny made-up data in the layouts of the real sets, for `--tiny`: the same files and columns, a few dozen users."""

import csv
import gzip
from pathlib import Path

import numpy as np

__all__ = ["write_tiny_data"]

USERS, ITEMS, EVENTS = 60, 40, 12
SIDE = 28  # of a picture
WORDS = ("rose", "cream", "brush", "soap", "gold", "night", "lip", "hair")


def _table(path: Path, header: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", newline="") if path.suffix == ".gz" else path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def _histories(rng: np.random.Generator, users: int) -> list[list[int]]:
    """Distinct items of each user, oldest first; even users like the first half of the catalog, odd ones the second."""
    found = []
    for user in range(users):
        weights = np.where((np.arange(ITEMS) < ITEMS // 2) == (user % 2 == 0), 8.0, 1.0)
        found.append(rng.choice(ITEMS, EVENTS, replace=False, p=weights / weights.sum()).tolist())
    return found


def _idx(path: Path, values: np.ndarray) -> None:
    header = bytes((0, 0, 8, values.ndim)) + b"".join(int(n).to_bytes(4, "big") for n in values.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header + values.astype(np.uint8).tobytes())


def write_tiny_data(folder: Path) -> None:
    """Every set that a script reads, each in its own layout."""
    rng = np.random.default_rng(0)
    histories = _histories(rng, USERS)
    titles = [(i, f"{WORDS[i % 8]} {WORDS[i // 8]} {i} (2001)", "Comedy|Drama") for i in range(ITEMS)]
    strong, clean, small = folder / "ml-1m-strong", folder / "diffrec-ml-1m-clean", folder / "ml-latest-small"
    _table(strong / "train.csv", ("uid", "sid"), [(u, i) for u in range(40) for i in histories[u]])
    for name, users in (("validation", range(40, 50)), ("test", range(50, 60))):
        _table(strong / f"{name}_tr.csv", ("uid", "sid"), [(u, i) for u in users for i in histories[u][:-3]])
        _table(strong / f"{name}_te.csv", ("uid", "sid"), [(u, i) for u in users for i in histories[u][-3:]])
    for name, part in (("train", slice(-4)), ("valid", slice(-4, -2)), ("test", slice(-2, None))):
        rows = [(u, i) for u, history in enumerate(histories) for i in history[part]]
        _table(clean / f"{name}.csv", ("user", "item"), rows)
    (folder / "amazon-beauty").mkdir(parents=True, exist_ok=True)
    lines = [" ".join((f"U{u}", *(f"B{i:03d}" for i in history))) for u, history in enumerate(histories)]
    (folder / "amazon-beauty" / "sequences.txt").write_text("\n".join(lines) + "\n")
    _table(folder / "amazon-beauty" / "items.csv", ("asin", "text_id"), [(f"B{i:03d}", t) for i, t, _ in titles])
    stars = lambda place: 1 if place % 4 == 3 else 5
    ordered = [(u, i, stars(place), place) for u, history in enumerate(histories) for place, i in enumerate(history)]
    _table(folder / "ml-1m" / "ratings_ordered.csv.gz", ("user", "movie", "rating", "pos"), ordered)
    movies = "".join(f"{i}::{title}::{genres}\n" for i, title, genres in titles)
    (folder / "ml-1m" / "movies.dat").write_text(movies, encoding="latin-1")
    people = "".join(f"{user}::{'FM'[user % 2]}::{18 + user % 40}::{user % 21}::00000\n" for user in range(USERS))
    (folder / "ml-1m" / "users.dat").write_text(people, encoding="latin-1")
    day = 86_400
    starts = rng.integers(0, 400, USERS)
    rated = [(u, i, 4.0, 10**9 + int(starts[u] + k) * day) for u, h in enumerate(histories) for k, i in enumerate(h)]
    _table(small / "ratings.csv", ("userId", "movieId", "rating", "timestamp"), rated)
    _table(small / "movies.csv", ("movieId", "title", "genres"), titles)
    seen = [(u, i, "view", time) for u, i, _, time in rated]
    seen += [(u, i, "buy", time + 60) for at, (u, i, _, time) in enumerate(rated) if at % 3 == 0]
    plays = "".join(f"{u}\t{i}\t{EVENTS - place}\n" for u, h in enumerate(histories) for place, i in enumerate(h))
    (folder / "lastfm-hetrec").mkdir(parents=True, exist_ok=True)
    (folder / "lastfm-hetrec" / "user_artists.dat").write_text("userID\tartistID\tweight\n" + plays)
    shop = folder / "retailrocket-behaviors"
    _table(shop / "events.csv", ("user", "item", "type", "timestamp"), seen)
    _table(shop / "test.csv", ("user", "item"), [(u, int(rng.integers(ITEMS + 4))) for u in range(USERS)])
    for part, rows in (("train", 120), ("t10k", 40)):
        labels = rng.integers(0, 10, rows)
        pictures = rng.integers(0, 90, (rows, SIDE, SIDE))
        pictures[np.arange(rows), 2 * labels + 2, :] = 255  # a bright line whose height tells the class
        _idx(folder / "fashion-mnist" / f"{part}-images-idx3-ubyte", pictures)
        _idx(folder / "fashion-mnist" / f"{part}-labels-idx1-ubyte", labels)
