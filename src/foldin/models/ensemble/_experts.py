"""The experts of an ensemble: the names of their models, and their tensors among those of the ensemble."""

from collections.abc import Mapping

from foldin.errors import ConfigError
from foldin.tensors import Tensor
from foldin.training import Config

__all__ = ["ExpertNames", "of_expert"]


class ExpertNames:
    """The names of registered models. The registry is imported late, since it lists the ensemble too.

    Args:
        ensemble: name of the ensemble, for error messages.
    """

    def __init__(self, ensemble: str) -> None:
        self.ensemble = ensemble

    def config_class(self, name: str) -> type[Config]:
        from foldin.models.registry import config_class

        return config_class(name)

    def name_of(self, kind: type[Config]) -> str:
        from foldin.models.registry import model_name

        name = model_name(kind)
        if name is None:
            raise ConfigError(
                f"{self.ensemble}: {kind.__name__} is not the configuration of a registered model, so that a run with it could "
                "not be loaded; a package registers its own by an entry point of the group 'foldin.models'"
            )
        return name


def of_expert(state: Mapping[str, Tensor], at: int) -> dict[str, Tensor]:
    """The tensors of one expert among those of an ensemble."""
    begin = f"experts.{at}."
    return {name[len(begin) :]: value for name, value in state.items() if name.startswith(begin)}
