"""Write the films of the book's figures: python docs/book/write_films.py [NAME…]

A file holds all versions of a film, by their parameters: `components=2,seed=0`.
"""

import json
import sys

from foldin.book import FIGURES
from foldin.book.films import FILMS


def main() -> None:
    folder = FIGURES / "films"
    folder.mkdir(exist_ok=True)
    for name in sys.argv[1:] or FILMS:
        film = FILMS[name]
        made = {",".join(f"{key}={value}" for key, value in one.items()): film.make(**one) for one in film.versions()}
        (folder / f"{name}.json").write_text(json.dumps(made, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
