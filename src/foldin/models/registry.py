"""Configuration classes of models by name: foldin's, and those of other packages (entry point group `foldin.models`)."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from foldin.errors import ConfigError, warn
from foldin.models.autoencoders.multdae import MultDAEConfig
from foldin.models.autoencoders.multvae import MultVAEConfig
from foldin.models.autoencoders.recvae import RecVAEConfig
from foldin.models.baselines.contentknn import ContentKNNConfig
from foldin.models.baselines.personal import PersonalPopularityConfig
from foldin.models.baselines.popularity import PopularityConfig
from foldin.models.baselines.two_tower import TwoTowerConfig
from foldin.models.contract import Recommender
from foldin.models.diffusion.diffrec import DiffRecConfig, TDiffRecConfig
from foldin.models.diffusion.latent_diffrec import LatentDiffRecConfig
from foldin.models.ensemble.product import ProductOfExpertsConfig
from foldin.models.ensemble.repeats import RepeatMixtureConfig
from foldin.models.linear.als import ALSConfig
from foldin.models.linear.ease import EASEConfig
from foldin.models.linear.edlae import EDLAEConfig
from foldin.models.linear.elsa import ELSAConfig
from foldin.models.linear.ials import IALSConfig
from foldin.models.linear.itemknn import ItemKNNConfig
from foldin.models.linear.sansa import SANSAConfig
from foldin.models.linear.slim import SLIMConfig
from foldin.models.semantic.semantic_ids import SemanticIdsConfig
from foldin.models.sequential.sasrec import SASRecConfig
from foldin.models.topics.lda import LDAConfig
from foldin.models.topics.mixture import MixtureOfMultinomialsConfig
from foldin.models.topics.plsa import PLSAConfig
from foldin.models.topics.poisson import PoissonFactorizationConfig
from foldin.training import Config

__all__ = ["ENTRY_POINTS", "MODELS", "Registry", "config_class", "config_of", "model_name"]

ENTRY_POINTS = "foldin.models"
_OWN: dict[str, type[Config]] = {
    "popularity": PopularityConfig,
    "personal": PersonalPopularityConfig,
    "contentknn": ContentKNNConfig,
    "two-tower": TwoTowerConfig,
    "itemknn": ItemKNNConfig,
    "ease": EASEConfig,
    "edlae": EDLAEConfig,
    "sansa": SANSAConfig,
    "slim": SLIMConfig,
    "elsa": ELSAConfig,
    "als": ALSConfig,
    "ials": IALSConfig,
    "mixture": MixtureOfMultinomialsConfig,
    "plsa": PLSAConfig,
    "lda": LDAConfig,
    "poisson": PoissonFactorizationConfig,
    "multdae": MultDAEConfig,
    "multvae": MultVAEConfig,
    "recvae": RecVAEConfig,
    "diffrec": DiffRecConfig,
    "t-diffrec": TDiffRecConfig,
    "l-diffrec": LatentDiffRecConfig,
    "sasrec": SASRecConfig,
    "semantic": SemanticIdsConfig,
    "product": ProductOfExpertsConfig,
    "repeats": RepeatMixtureConfig,
}


class Registry(Mapping[str, type[Config]]):
    """Name → configuration class, which has the class of its model as `model_class`.

    A configuration class of another package is imported when it is first used, so that one that cannot be imported breaks
    nothing else. Names of foldin's models cannot be replaced.

    Raises when a class is looked up:
        ConfigError: the object of the entry point cannot be imported, or is not the configuration of a recommender.
    """

    @cached_property
    def _others(self) -> dict[str, EntryPoint]:
        found: dict[str, EntryPoint] = {}
        for entry in entry_points(group=ENTRY_POINTS):
            if entry.name in found:
                warn(
                    f"{_package(entry)} adds a model {entry.name!r}, a name that {_package(found[entry.name])} has already; "
                    "it is left out"
                )
            elif entry.name in _OWN:
                warn(f"{_package(entry)} adds a model {entry.name!r}, a name that foldin has itself; it is left out")
            else:
                found[entry.name] = entry
        return found

    def __iter__(self) -> Iterator[str]:
        yield from _OWN
        yield from self._others

    def __len__(self) -> int:
        return len(_OWN) + len(self._others)

    def __contains__(self, name: object) -> bool:
        return name in _OWN or name in self._others

    def __getitem__(self, name: str) -> type[Config]:
        if name in _OWN:
            return _OWN[name]
        entry = self._others[name]
        where = f"model {name!r} of {_package(entry)}"
        try:
            kind = entry.load()
        except Exception as error:  # whatever the other package raises
            raise ConfigError(f"{where} cannot be imported: {type(error).__name__}: {error}") from error
        if not (isinstance(kind, type) and issubclass(kind, Config) and issubclass(kind.model_class, Recommender)):
            raise ConfigError(f"{where}: {entry.value} is not the configuration of a recommender")
        return kind

    def usable(self) -> dict[str, type[Config]]:
        """The configuration classes that can be imported; others are left out."""
        found = {}
        for name in self:
            try:
                found[name] = self[name]
            except ConfigError:
                continue
        return found

    def package(self, name: str) -> str:
        """The package that a model comes from, with its version."""
        return _package(self._others[name]) if name in self._others else "foldin"


def _package(entry: EntryPoint) -> str:
    return "an unnamed package" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"


MODELS = Registry()


def config_class(name: str) -> type[Config]:
    """The configuration class of a model's name.

    Raises:
        ConfigError: no such model, or one of a package that cannot be imported.
    """
    if name not in MODELS:
        raise ConfigError(f"no model named {name!r}; there are {', '.join(MODELS)}")
    return MODELS[name]


def config_of(config: Config | str) -> Config:
    """The configuration itself, or the default configuration of a model's name.

    Raises:
        ConfigError: no such model, or something other than the configuration of a recommender.
    """
    if isinstance(config, str):
        return config_class(config)()
    found: Any = config
    if not isinstance(found, Config):
        raise ConfigError(f"a configuration such as RecVAEConfig() or a name was expected, not {type(found).__name__}")
    if not issubclass(found.model_class, Recommender):
        raise ConfigError(
            f"{type(found).__name__} is the configuration of {found.model_class.__name__}, which is no recommender"
        )
    return found


def model_name(kind: type[Config]) -> str | None:
    """The name of the model of a configuration class; None if it has none."""
    own = next((name for name, one in _OWN.items() if one is kind), None)
    if own is not None:
        return own
    wanted = f"{kind.__module__}:{kind.__qualname__}"
    return next((name for name in MODELS if name not in _OWN and _same(name, wanted, kind)), None)


def _same(name: str, wanted: str, kind: type[Config]) -> bool:
    """Whether a name of another package belongs to this class; False if its class cannot be imported."""
    if MODELS._others[name].value == wanted:
        return True
    try:
        return MODELS[name] is kind
    except ConfigError:
        return False
