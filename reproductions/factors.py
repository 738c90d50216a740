"""Mixture of multinomials, PLSA, LDA and Poisson factorization beside popularity and EASE on `ml-1m-strong`, tuned on validation.

python reproductions/factors.py
"""

from pathlib import Path
from typing import Any

from harness import arguments, keep, shrunk, table

from foldin.data import Source

GRIDS: dict[str, list[dict[str, Any]]] = {
    "popularity": [{}],
    "mixture": [{"n_components": c, "smoothing": s} for c in (50, 100, 200, 400) for s in (0.2, 0.5, 1.0)],
    "plsa": [
        {"n_components": k, "user_pseudo": a, "item_pseudo": 0.05, "epochs": 30}
        for k in (50, 100, 200)
        for a in (0.05, 0.5, 1.0)
    ],
    "lda": [{"n_components": k, "epochs": 30} for k in (50, 100, 200)],
    "poisson": [{"n_components": k, "epochs": 40} for k in (50, 100, 200)],
    "ease": [{"regularization": v} for v in (500.0, 700.0, 1000.0)],
}


def main() -> None:
    options = arguments(__doc__, name="factors", folder=Path(__file__).parent, seeds=3, tiny={"seeds": 1})
    split = Source(path=str(options.data / "ml-1m-strong")).split()
    keep(
        options,
        "factors",
        {"ml-1m-strong": table(split, "ml-1m-strong", shrunk(GRIDS, options), seeds=options.seeds)},
        {},
    )


if __name__ == "__main__":
    main()
