"""The option `--ranker`, which chooses how lists are made."""

from collections.abc import Sequence

import click

from foldin.errors import ConfigError
from foldin.ranking import RANKERS

__all__ = ["RANKER", "named_rankers"]

RANKER = click.option(
    "--ranker",
    default="exact",
    show_default=True,
    metavar="RANKER",
    help="Ranker that makes the lists. " + "; ".join(f"{name}: {meaning}" for name, meaning in RANKERS.items()) + ".",
)


def named_rankers(values: Sequence[str]) -> dict[str, str]:
    """Rankers by the name of their run ("" for all other runs), from texts such as `beam:100` and `films=beam:100`.

    Raises:
        ConfigError: two rankers for one run.
    """
    found: dict[str, str] = {}
    for text in values:
        run, equals, ranker = text.rpartition("=")
        if run in found:
            raise ConfigError(f"--ranker {text}: a ranker for {run or 'all runs'} was given already")
        found[run if equals else ""] = ranker
    return found
