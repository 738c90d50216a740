"""What the figures of the book show of something learned, frame by frame, computed by the library.

`docs/book/write_films.py` keeps all films of the book as JSON beside the figures; the studio's lab computes them when asked.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from foldin.book.films import codebook, denoiser, em, vae_training

__all__ = ["FILMS", "Film"]


@dataclass(frozen=True)
class Film:
    """A film and what it can be asked for.

    Args:
        make: its content, as JSON takes it, for one value of each parameter.
        choices: the values that each parameter of `make` can have, the first of which is the default.
    """

    make: Callable[..., dict[str, Any]]
    choices: dict[str, tuple[Any, ...]]

    def versions(self) -> Iterator[dict[str, Any]]:
        """Every combination of the parameters."""
        for values in itertools.product(*self.choices.values()):
            yield dict(zip(self.choices, values, strict=True))


FILMS: dict[str, Film] = {
    "codebook": Film(codebook.film, {"start": ("spread", "corner"), "revival": ("off", "on")}),
    "denoiser": Film(denoiser.film, {"count": (8, 64, 512)}),
    "em": Film(em.film, {"components": (3, 1, 2, 4), "seed": (0, 1, 2)}),
    "vae-training": Film(vae_training.film, {"beta": (1, 0.2, 4)}),
}
