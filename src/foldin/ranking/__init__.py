"""Rankers, which turn the scores of a model into lists of eligible items."""

from foldin.ranking.approximate import Approximate, recall_against
from foldin.ranking.attribution import Attribution, attributions
from foldin.ranking.beam import Beam
from foldin.ranking.eligibility import Eligibility, barred_items
from foldin.ranking.exact import Exact, masked_logits, scores
from foldin.ranking.lists import RankedLists, Spread
from foldin.ranking.named import RANKERS, ranker_of
from foldin.ranking.posterior import PosteriorSample, WithSpread
from foldin.ranking.ranker import Ranker, rank
from foldin.ranking.similar import similar_items
from foldin.ranking.temperature import Gumbel

__all__ = [
    "RANKERS",
    "Approximate",
    "Attribution",
    "Beam",
    "Eligibility",
    "Exact",
    "Gumbel",
    "PosteriorSample",
    "RankedLists",
    "Ranker",
    "Spread",
    "WithSpread",
    "attributions",
    "barred_items",
    "masked_logits",
    "rank",
    "ranker_of",
    "recall_against",
    "scores",
    "similar_items",
]
