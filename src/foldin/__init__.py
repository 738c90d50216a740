"""Generative recommendation: a probabilistic model of what a person picks next, and new people folded in.

from foldin import Source, train

split = Source(path="movielens-small", min_rating=4).split()
trained = train(split, "multvae")
trained.evaluation.summary()["ndcg@100"]
"""

from importlib.metadata import version

from foldin.data import Catalog, EventLog, HeldOut, Histories, Source, Split, load_log, read_given, read_log, split_log
from foldin.errors import FoldinError
from foldin.evaluation import Evaluation, ValidationMetric, evaluate
from foldin.experiment import Trained, train
from foldin.models import ALS, EASE, MODELS, ItemKNN, MultDAE, MultVAE, Popularity, Recommender
from foldin.ranking import Eligibility, RankedLists, rank
from foldin.runs import Run, load_run
from foldin.training import FitResult, fit

__version__ = version("foldin")

__all__ = [
    "ALS",
    "EASE",
    "MODELS",
    "Catalog",
    "Eligibility",
    "Evaluation",
    "EventLog",
    "FitResult",
    "FoldinError",
    "HeldOut",
    "Histories",
    "ItemKNN",
    "MultDAE",
    "MultVAE",
    "Popularity",
    "RankedLists",
    "Recommender",
    "Run",
    "Source",
    "Split",
    "Trained",
    "ValidationMetric",
    "__version__",
    "evaluate",
    "fit",
    "load_log",
    "load_run",
    "rank",
    "read_given",
    "read_log",
    "split_log",
    "train",
]
