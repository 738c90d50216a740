"""Rankers by name, for the command line."""

import math
from typing import Any

from foldin.errors import ConfigError
from foldin.models import Recommender
from foldin.ranking.approximate import Approximate
from foldin.ranking.beam import Beam
from foldin.ranking.exact import Exact
from foldin.ranking.posterior import PosteriorSample
from foldin.ranking.ranker import Ranker
from foldin.ranking.temperature import Gumbel

__all__ = ["RANKERS", "ranker_of"]

RANKERS = {
    "exact": "score every item",
    "beam:WIDTH": "beam search over the item tokens with WIDTH paths",
    "index:FAISS:EFFORT": "search in a FAISS index: index:HNSW32:64 or index:IVF256,Flat:8 (efSearch of HNSW, nprobe of IVF)",
    "sample": "the list of one draw from the posterior (Thompson sampling)",
    "gumbel:TEMPERATURE": "items drawn one by one from the model's own distribution, at that temperature",
}


def ranker_of(text: str, model: Recommender[Any], *, seed: int = 0, draws: int | None = None) -> Ranker:
    """The ranker of a model from a text such as `beam:100`.

    Args:
        seed: seed of random draws.
        draws: number of draws from the posterior, for propensities.

    Raises:
        ConfigError: an unknown ranker, an invalid argument, or a capability that it needs and the model lacks.
    """
    name, *arguments = text.strip().split(":")
    expected = ", ".join(RANKERS)
    most = {"exact": 0, "beam": 1, "index": 2, "sample": 0, "gumbel": 1}
    if name not in most or len(arguments) > most[name] or "" in arguments:
        raise ConfigError(f"ranker {text!r}: one of {expected} was expected")
    ranker: Ranker
    try:
        if name == "exact":
            ranker = Exact()
        elif name == "sample":
            ranker = PosteriorSample(seed, draws)
        elif name == "beam":
            ranker = Beam(*map(int, arguments))
        elif name == "index":
            effort = int(arguments[1]) if len(arguments) == 2 else None
            if effort is not None and effort < 1:
                raise ValueError
            ranker = Approximate(model, *arguments[:1], effort=effort)
        elif name == "gumbel":
            temperature = float(arguments[0]) if arguments else 1.0
            if not math.isfinite(temperature):
                raise ValueError
            ranker = Gumbel(temperature, seed)
        else:
            raise NotImplementedError(name)
    except ValueError:
        raise ConfigError(f"ranker {text!r}: one of {expected} was expected, with a number") from None
    ranker.check(model)
    return ranker
