"""Rankers, which turn the scores of a model into lists of eligible items."""

from foldin.ranking.approximate import Approximate, recall_against
from foldin.ranking.attribution import Attribution, attributions
from foldin.ranking.beam import Beam
from foldin.ranking.diverse import Diverse
from foldin.ranking.diversity import DPP, MMR
from foldin.ranking.eligibility import Eligibility, barred_items
from foldin.ranking.exact import Exact, masked_logits, scores
from foldin.ranking.index_effort import measure_index
from foldin.ranking.item_index import DEFAULT_INDEX, ItemIndex, build_index, check_description
from foldin.ranking.lists import RankedLists, Spread
from foldin.ranking.named import RANKERS, ranker_of, searches_stored
from foldin.ranking.posterior import PosteriorSample, WithSpread
from foldin.ranking.price import Price
from foldin.ranking.ranker import Ranker, rank
from foldin.ranking.resolved_rules import ResolvedRules, resolve_rules
from foldin.ranking.ruled import Ruled
from foldin.ranking.rules import Boost, Cap, Freshness, Pin, Rules
from foldin.ranking.similar import similar_items
from foldin.ranking.stated_rules import rules_from_text, rules_of
from foldin.ranking.temperature import Gumbel

__all__ = [
    "DEFAULT_INDEX",
    "DPP",
    "MMR",
    "RANKERS",
    "Approximate",
    "Attribution",
    "Beam",
    "Boost",
    "Cap",
    "Diverse",
    "Eligibility",
    "Exact",
    "Freshness",
    "Gumbel",
    "ItemIndex",
    "Pin",
    "PosteriorSample",
    "Price",
    "RankedLists",
    "Ranker",
    "ResolvedRules",
    "Ruled",
    "Rules",
    "Spread",
    "WithSpread",
    "attributions",
    "barred_items",
    "build_index",
    "check_description",
    "masked_logits",
    "measure_index",
    "rank",
    "ranker_of",
    "recall_against",
    "resolve_rules",
    "rules_from_text",
    "rules_of",
    "scores",
    "searches_stored",
    "similar_items",
]
