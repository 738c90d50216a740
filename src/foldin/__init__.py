"""Generative recommendation: probabilistic models of a user's next item, which fold in new users without retraining.

import foldin

log = foldin.read_log(frame)  # a table, a file, or the name of a public data set
run = foldin.train(foldin.split(log, "strong"), foldin.MultVAE(latent_dim=64))
run.evaluation.summary()["ndcg@100"]
run.recommend(["u1", "u7"], k=10)
run.save("runs/films")

At the top level, the name of a model is its configuration class; the model classes themselves are in `foldin.models`. Names are
imported at their first use, so that `foldin.client` and the completion of the command line need not wait for PyTorch.
"""

import logging
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from foldin.data import Catalog, EventLog, Features, HeldOut, Histories, Source, Split, read_given, read_log
    from foldin.data import split_log as split
    from foldin.errors import FoldinError, FoldinWarning
    from foldin.evaluation import Evaluation, ValidationMetric, evaluate
    from foldin.experiment import Choice, Trained, Tuned, build_model, choose_model, fit_all, load, train, tune
    from foldin.models import MODELS, Recommender, capability
    from foldin.models import ALSConfig as ALS
    from foldin.models import ContentKNNConfig as ContentKNN
    from foldin.models import DiffRecConfig as DiffRec
    from foldin.models import EASEConfig as EASE
    from foldin.models import EDLAEConfig as EDLAE
    from foldin.models import ELSAConfig as ELSA
    from foldin.models import IALSConfig as IALS
    from foldin.models import ItemKNNConfig as ItemKNN
    from foldin.models import LatentDiffRecConfig as LatentDiffRec
    from foldin.models import LDAConfig as LDA
    from foldin.models import MixtureOfMultinomialsConfig as MixtureOfMultinomials
    from foldin.models import MultDAEConfig as MultDAE
    from foldin.models import MultVAEConfig as MultVAE
    from foldin.models import PersonalPopularityConfig as PersonalPopularity
    from foldin.models import PLSAConfig as PLSA
    from foldin.models import PoissonFactorizationConfig as PoissonFactorization
    from foldin.models import PopularityConfig as Popularity
    from foldin.models import ProductOfExpertsConfig as ProductOfExperts
    from foldin.models import RecVAEConfig as RecVAE
    from foldin.models import RepeatMixtureConfig as RepeatMixture
    from foldin.models import SANSAConfig as SANSA
    from foldin.models import SASRecConfig as SASRec
    from foldin.models import SemanticIdsConfig as SemanticIds
    from foldin.models import SLIMConfig as SLIM
    from foldin.models import TDiffRecConfig as TDiffRec
    from foldin.models import TwoTowerConfig as TwoTower
    from foldin.ranking import (
        Approximate,
        Boost,
        Cap,
        Eligibility,
        Freshness,
        Pin,
        PosteriorSample,
        RankedLists,
        Rules,
        rank,
    )
    from foldin.runs import Run
    from foldin.training import FitResult, Range, fit

__version__ = version("foldin")

logging.getLogger("foldin").addHandler(logging.NullHandler())

__all__ = [
    "ALS",
    "EASE",
    "EDLAE",
    "ELSA",
    "IALS",
    "LDA",
    "MODELS",
    "PLSA",
    "SANSA",
    "SLIM",
    "Approximate",
    "Boost",
    "Cap",
    "Catalog",
    "Choice",
    "ContentKNN",
    "DiffRec",
    "Eligibility",
    "Evaluation",
    "EventLog",
    "Features",
    "FitResult",
    "FoldinError",
    "FoldinWarning",
    "Freshness",
    "HeldOut",
    "Histories",
    "ItemKNN",
    "LatentDiffRec",
    "MixtureOfMultinomials",
    "MultDAE",
    "MultVAE",
    "PersonalPopularity",
    "Pin",
    "PoissonFactorization",
    "Popularity",
    "PosteriorSample",
    "ProductOfExperts",
    "Range",
    "RankedLists",
    "RecVAE",
    "Recommender",
    "RepeatMixture",
    "Rules",
    "Run",
    "SASRec",
    "SemanticIds",
    "Source",
    "Split",
    "TDiffRec",
    "Trained",
    "Tuned",
    "TwoTower",
    "ValidationMetric",
    "__version__",
    "build_model",
    "capability",
    "choose_model",
    "evaluate",
    "fit",
    "fit_all",
    "load",
    "rank",
    "read_given",
    "read_log",
    "split",
    "train",
    "tune",
]

# Package → its names above; a model's name is that of its configuration in `foldin.models` without `Config`.
_NAMES = {
    "data": ("Catalog", "EventLog", "Features", "HeldOut", "Histories", "Source", "Split", "read_given", "read_log"),
    "errors": ("FoldinError", "FoldinWarning"),
    "evaluation": ("Evaluation", "ValidationMetric", "evaluate"),
    "experiment": ("Choice", "Trained", "Tuned", "build_model", "choose_model", "fit_all", "load", "train", "tune"),
    "models": ("MODELS", "Recommender", "capability"),
    "ranking": (
        *("Approximate", "Boost", "Cap", "Eligibility", "Freshness"),
        *("Pin", "PosteriorSample", "RankedLists", "Rules", "rank"),
    ),
    "runs": ("Run",),
    "training": ("FitResult", "Range", "fit"),
}
_RENAMED = {"split": ("data", "split_log")}
_PACKAGES = {*_NAMES, "cluster", "diffusion", "generative", "inference", "kernels", "nn", "probability", "reports"}
_ORIGINS = {name: (package, name) for package, names in _NAMES.items() for name in names} | _RENAMED

if not TYPE_CHECKING:  # type checkers read the imports above, and would take any other name for one that exists

    def __getattr__(name: str) -> Any:
        """A public name or a package, imported at its first use."""
        if name in _PACKAGES:
            return import_module(f"foldin.{name}")
        if name not in __all__:
            raise AttributeError(f"module 'foldin' has no attribute {name!r}")
        package, origin = _ORIGINS.get(name, ("models", f"{name}Config"))
        globals()[name] = found = getattr(import_module(f"foldin.{package}"), origin)
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__, *_PACKAGES})
