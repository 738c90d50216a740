"""Settings whose values are configurations of models, such as the experts of an ensemble.

As text, the configurations are chosen by the names of their models, separated by commas (`experts=recvae,ease`), and a setting of
one of them follows its position, counted from 0 (`experts.0.latent_dim=400`).
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from foldin.errors import ConfigError

if TYPE_CHECKING:
    from foldin.training.config import Config

__all__ = ["ModelNames", "changed_configs", "configs_of_dicts", "dicts_of_configs", "named_configs"]


@runtime_checkable
class ModelNames(Protocol):
    """The names of models, by which texts choose their configurations."""

    def config_class(self, name: str) -> "type[Config]":
        """The configuration class of a name.

        Raises:
            ConfigError: no such model.
        """
        ...

    def name_of(self, kind: "type[Config]") -> str:
        """The name of a configuration class.

        Raises:
            ConfigError: it has none.
        """
        ...


def named_configs(value: Any, names: ModelNames) -> Any:
    """The configurations that a text or a sequence of names and configurations stands for; anything else as it is.

    Raises:
        ConfigError: no model has such a name.
    """
    parts = [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        return value
    return tuple(names.config_class(one)() if isinstance(one, str) else one for one in parts)


def changed_configs(
    configs: Any, settings: Mapping[str, Any], change: Callable[[Any, Mapping[str, Any]], Any], where: str
) -> "tuple[Config, ...]":
    """The configurations with some settings changed.

    Args:
        settings: value by position and name of the setting, such as "0.latent_dim".
        change: function of a configuration and its changed settings; returns the changed configuration.
        where: model and setting that hold the configurations, for error messages.

    Raises:
        ConfigError: no configuration is at that position, or `change` raises one.
    """
    found = list(configs)
    grouped: dict[int, dict[str, Any]] = {}
    for key, value in settings.items():
        place, _, name = key.partition(".")
        if not (place.isascii() and place.isdigit() and int(place) < len(found) and name):
            raise ConfigError(
                f"{where}.{key}: a position below {len(found)} and a setting were expected, such as 0.learning_rate"
            )
        grouped.setdefault(int(place), {})[name] = value
    for at, inner in grouped.items():
        found[at] = change(found[at], inner)
    return tuple(found)


def dicts_of_configs(configs: "Iterable[Config]", names: ModelNames) -> list[dict[str, Any]]:
    """Configurations ready for JSON: dictionaries of the model's `name` and its settings."""
    return [{"name": names.name_of(type(one)), **one.as_dict()} for one in configs]


def configs_of_dicts(values: Iterable[Any], names: ModelNames, where: str) -> "tuple[Config, ...]":
    """Configurations from the result of `dicts_of_configs`.

    Raises:
        ConfigError: one of them is no such dictionary, or its settings are not legal.
    """
    found = []
    for one in values:
        settings = dict(one) if isinstance(one, Mapping) else {}
        name = settings.pop("name", None)
        if not isinstance(name, str):
            raise ConfigError(f"{where} = {one!r}: a model's name and settings were expected")
        found.append(names.config_class(name).from_dict(settings))
    return tuple(found)
