"""The option `--index` of a training, and what is said of an index that was built."""

from typing import Any

import click

from foldin.cli.output import status
from foldin.errors import ConfigError
from foldin.models import DotProduct, Recommender, has_capability
from foldin.ranking import DEFAULT_INDEX, ItemIndex, check_description

__all__ = ["DESCRIPTION", "INDEX", "check_index", "index_in_words", "say_index"]

DESCRIPTION = (
    "FAISS' description of the index, such as HNSW32,SQ8 (a graph over vectors of 8-bit numbers), IVF4096,SQ8 (clusters, built "
    "sooner and searched in more time) or Flat (all vectors, exactly)."
)
INDEX = click.option(
    "--index",
    metavar="FAISS",
    help="Description of an index over the items that is built after the training and stored with the run, for --ranker index, "
    f"such as {DEFAULT_INDEX}; see `foldin index`.",
)


def check_index(kind: type[Recommender[Any]], description: str | None) -> None:
    """Raise unless an index of this description can be built over a model of this class; None is no index.

    Raises:
        ConfigError: it cannot.
        MissingExtraError: FAISS is not installed.
    """
    if description is None:
        return
    if not has_capability(kind, DotProduct):
        raise ConfigError(
            f"--index: an index searches dot products of queries and item vectors; {kind.__name__} has none"
        )
    check_description(description)


def index_in_words(index: ItemIndex) -> str:
    """What was built and measured, as a sentence."""
    found = "" if index.recall is None else f": {index.recall:.1%} of the exact lists of {index.measured_k} are found"
    return f"index {index.description}{found}{'' if index.effort is None else f' with an effort of {index.effort}'}"


def say_index(index: ItemIndex) -> None:
    """Print what was built and measured to standard error."""
    status(index_in_words(index))
