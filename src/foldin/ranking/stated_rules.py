"""Business rules as plain mappings, such as the JSON of a request or of the command line."""

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from foldin.errors import ConfigError
from foldin.ranking.diversity import DPP, MMR
from foldin.ranking.rules import Boost, Cap, Freshness, Pin, Rules

__all__ = ["rules_from_text", "rules_of"]

R = TypeVar("R")
_METHODS: dict[str, type[MMR | DPP]] = {"mmr": MMR, "dpp": DPP}


def rules_from_text(text: str, where: str) -> Rules:
    """Rules from JSON, or from the file of JSON that the text names.

    Args:
        text: JSON such as `{"caps": [{"feature": "genres", "most": 2}]}`, or the name of a file ending in .json.
        where: source of the text, for messages.

    Raises:
        ConfigError: no such file, not JSON, or JSON that states no rules.
    """
    if text.strip().endswith(".json"):
        try:
            text = Path(text.strip()).read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{where}: {error.filename}: {error.strerror}") from None
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{where}: {text[:60]!r} is no JSON: {error}") from None
    return rules_of(found, where)


def rules_of(found: Any, where: str) -> Rules:
    """Rules from mappings with the names of `Rules` and of its rules; diversity also names its method, `mmr` or `dpp`.

    Args:
        where: source of the mappings, for messages.

    Raises:
        ConfigError: the mappings have another structure, or state rules that cannot hold.
    """
    names = [one.name for one in fields(Rules)]
    if not isinstance(found, Mapping):
        raise ConfigError(f"{where}: an object of rules was expected, with some of {', '.join(names)}")
    given = {name: value for name, value in found.items() if value is not None}
    for name in given:
        if name not in names:
            raise ConfigError(f"{where}: no rule {name!r}; there are {', '.join(names)}")
    for name, kind in (("boosts", Boost), ("caps", Cap), ("pins", Pin)):
        if name in given:
            if not isinstance(given[name], list | tuple):
                raise ConfigError(f"{where}: {name}: a list was expected, not {given[name]!r}")
            given[name] = tuple(_made(kind, one, f"{where}: {name}[{place}]") for place, one in enumerate(given[name]))
    if "freshness" in given:
        given["freshness"] = _made(Freshness, given["freshness"], f"{where}: freshness")
    if "diversity" in given:
        given["diversity"] = _diversity(given["diversity"], f"{where}: diversity")
    return _checked(Rules, given, where)


def _diversity(found: Any, where: str) -> MMR | DPP:
    method = found.get("method") if isinstance(found, Mapping) else None
    if not isinstance(method, str) or method not in _METHODS:
        raise ConfigError(f"{where}: an object with the method mmr or dpp was expected")
    return _made(_METHODS[method], {name: value for name, value in found.items() if name != "method"}, where)


def _made(kind: type[R], found: Any, where: str) -> R:
    names = [one.name for one in fields(kind)]  # type: ignore[arg-type]  # every rule is a dataclass
    if not isinstance(found, Mapping) or any(one not in names for one in found):
        raise ConfigError(f"{where}: an object with some of {', '.join(names)} was expected")
    return _checked(kind, {name: value for name, value in found.items() if value is not None}, where)


def _checked(kind: Callable[..., R], given: Mapping[str, Any], where: str) -> R:
    try:
        return kind(**given)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    except TypeError as error:  # a field without a default is missing
        raise ConfigError(f"{where}: {str(error).split('() ')[-1]}") from None
