"""Generative recommendation: probabilistic models of a user's next item, which fold in new users without retraining.

import foldin

log = foldin.read_log(frame)  # a table, a file, or the name of a public data set
run = foldin.train(foldin.split(log, "strong"), foldin.MultVAE(latent_dim=64))
run.evaluation.summary()["ndcg@100"]
run.recommend(["u1", "u7"], k=10)
run.save("runs/films")

At the top level, the name of a model is its configuration class; the model classes themselves are in `foldin.models`.
"""

import logging
from importlib.metadata import version

from foldin.data import Catalog, EventLog, HeldOut, Histories, Source, Split, read_given, read_log
from foldin.data import split_log as split
from foldin.errors import FoldinError
from foldin.evaluation import Evaluation, ValidationMetric, evaluate
from foldin.experiment import Trained, Tuned, build_model, fit_all, train, tune
from foldin.models import MODELS, Recommender, capability
from foldin.models import ALSConfig as ALS
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
from foldin.models import PLSAConfig as PLSA
from foldin.models import PoissonFactorizationConfig as PoissonFactorization
from foldin.models import PopularityConfig as Popularity
from foldin.models import ProductOfExpertsConfig as ProductOfExperts
from foldin.models import RecVAEConfig as RecVAE
from foldin.models import SASRecConfig as SASRec
from foldin.models import SemanticIdsConfig as SemanticIds
from foldin.models import SLIMConfig as SLIM
from foldin.models import TDiffRecConfig as TDiffRec
from foldin.ranking import Eligibility, PosteriorSample, RankedLists, rank
from foldin.runs import Run
from foldin.runs import load_run as load
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
    "SLIM",
    "Catalog",
    "DiffRec",
    "Eligibility",
    "Evaluation",
    "EventLog",
    "FitResult",
    "FoldinError",
    "HeldOut",
    "Histories",
    "ItemKNN",
    "LatentDiffRec",
    "MixtureOfMultinomials",
    "MultDAE",
    "MultVAE",
    "PoissonFactorization",
    "Popularity",
    "PosteriorSample",
    "ProductOfExperts",
    "Range",
    "RankedLists",
    "RecVAE",
    "Recommender",
    "Run",
    "SASRec",
    "SemanticIds",
    "Source",
    "Split",
    "TDiffRec",
    "Trained",
    "Tuned",
    "ValidationMetric",
    "__version__",
    "build_model",
    "capability",
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
