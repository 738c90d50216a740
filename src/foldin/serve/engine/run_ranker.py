"""The ranker of a run in service."""

import json
import logging

from foldin.errors import ConfigError, RunError
from foldin.ranking import Exact, Ranker, ranker_of
from foldin.runs import Run

__all__ = ["ranker_in_service"]

logger = logging.getLogger("foldin.serve")


def ranker_in_service(name: str, run: Run, ranked_by: str) -> tuple[Ranker, str]:
    """(ranker of lists without exploration, its name), for a ranker by name; see `ranking.ranker_of`.

    If the index that is stored with the run is damaged, or that of another model, a line is logged and lists are exact.

    Raises:
        ConfigError: the ranker draws at random, or needs a capability that the model lacks.
    """
    try:
        ranker = ranker_of(ranked_by, run.model, index=lambda: run.index)
    except RunError as error:
        logger.warning(json.dumps({"index not used": name, "error": str(error), "ranker": "exact"}))
        return Exact(), "exact"
    if ranker.random:
        raise ConfigError(
            f"ranker {ranked_by!r}: it draws at random; only requests with `explore` do so, choose another ranker"
        )
    return ranker, ranked_by
