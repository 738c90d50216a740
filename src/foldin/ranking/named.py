"""Rankers by name, for the command line."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from foldin.errors import ConfigError
from foldin.models import Recommender
from foldin.ranking.approximate import Approximate
from foldin.ranking.beam import Beam
from foldin.ranking.diverse import Diverse
from foldin.ranking.diversity import DPP, MMR
from foldin.ranking.exact import Exact
from foldin.ranking.item_index import ItemIndex
from foldin.ranking.posterior import PosteriorSample
from foldin.ranking.ranker import Ranker
from foldin.ranking.temperature import Gumbel

__all__ = ["RANKERS", "ranker_of", "searches_stored"]

RANKERS = {
    "exact": "score every item",
    "beam:WIDTH": "beam search over the item tokens with WIDTH paths",
    "index:FAISS:EFFORT": "search in a FAISS index: index for the one stored with the run, index:EFFORT for another effort, or "
    "index:HNSW32,SQ8:256 or index:IVF256,Flat:8 for one that is built at once (efSearch of HNSW, nprobe of IVF)",
    "sample": "the list of one draw from the posterior (Thompson sampling)",
    "gumbel:TEMPERATURE": "items drawn one by one from the model's own distribution, at that temperature",
    "dpp:THETA": "items that differ, by a determinantal point process: THETA is the weight of the log-probability, in [0, 1]",
    "mmr:THETA": "items that differ, by maximal marginal relevance: THETA is the weight of the log-probability, in [0, 1]",
}


def ranker_of(
    text: str,
    model: Recommender[Any],
    *,
    seed: int = 0,
    draws: int | None = None,
    index: Callable[[], ItemIndex | None] = lambda: None,
) -> Ranker:
    """The ranker of a model from a text such as `beam:100`.

    Args:
        seed: seed of random draws.
        draws: number of draws from the posterior, for propensities.
        index: returns the index that is stored with the model, or None; called if it is needed. Without one, `index` builds it.

    Raises:
        RunError: the stored index cannot be used.
        ConfigError: an unknown ranker, an invalid argument, or a capability that it needs and the model lacks.
    """
    name, *arguments = text.strip().split(":")
    expected = ", ".join(RANKERS)
    # Name → largest number of arguments, and what makes the ranker of them.
    made: dict[str, tuple[int, Callable[..., Ranker]]] = {
        "exact": (0, Exact),
        "beam": (1, lambda *width: Beam(*map(int, width))),
        "index": (2, partial(_index, model, index)),
        "sample": (0, partial(PosteriorSample, seed, draws)),
        "gumbel": (1, partial(_gumbel, seed)),
        "dpp": (1, partial(_diverse, DPP)),
        "mmr": (1, partial(_diverse, MMR)),
    }
    if name not in made or len(arguments) > made[name][0] or "" in arguments:
        raise ConfigError(f"ranker {text!r}: one of {expected} was expected")
    try:
        ranker = made[name][1](*arguments)
    except ValueError:
        raise ConfigError(f"ranker {text!r}: one of {expected} was expected, with a number") from None
    ranker.check(model)
    return ranker


def searches_stored(text: str) -> bool:
    """Whether the ranker of a text such as `index:200` searches the index that is stored with its model, if there is one."""
    name, *arguments = text.strip().split(":")
    return name == "index" and (not arguments or arguments[0].isdecimal())


def _index(model: Recommender[Any], stored: Callable[[], ItemIndex | None], *arguments: str) -> Approximate:
    """The index of a FAISS description, or the stored one; an argument that is a number is the effort."""
    described = arguments[:1] if arguments and not arguments[0].isdecimal() else ()
    efforts = arguments[len(described) :]
    if len(efforts) > 1:
        raise ValueError("two efforts")
    effort = int(efforts[0]) if efforts else None
    if effort is not None and effort < 1:
        raise ValueError(f"an effort of {effort}")
    index = None if described else stored()
    return Approximate(model, *described, effort=effort) if index is None else Approximate(model, index, effort=effort)


def _gumbel(seed: int, temperature: str = "1") -> Gumbel:
    if not math.isfinite(float(temperature)):
        raise ValueError(f"a temperature of {temperature}")
    return Gumbel(float(temperature), seed)


def _diverse(method: type[DPP] | type[MMR], *theta: str) -> Diverse:
    if not theta:
        raise ValueError("no theta")
    return Diverse(method(float(theta[0])))
