"""The book's figures to move: ES modules that the site and the studio show, one for each figure.

A figure `NAME.js` exports its name, its parameters, its words in English and Korean, `compute` (numbers, without a page) and
`draw`. `moving.js` gives it a question, sliders, time and an address; `picture.js` draws. A figure that shows something learned
has a film, which `foldin.book.films` makes with the library.
"""

from pathlib import Path

__all__ = ["FIGURES", "figures"]

FIGURES = Path(__file__).parent
PARTS = {"book", "math", "moving", "picture", "d3.min"}


def figures() -> list[str]:
    """The names of all figures, in alphabetical order."""
    return sorted(path.stem for path in FIGURES.glob("*.js") if path.stem not in PARTS)
