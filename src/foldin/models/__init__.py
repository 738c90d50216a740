"""Recommenders, one file each. What is in `MODELS` is on the command line, in the contract tests and in the docs."""

from foldin.models.autoencoders.multdae import MultDAE, MultDAEConfig
from foldin.models.autoencoders.multvae import MultVAE, MultVAEConfig
from foldin.models.autoencoders.recvae import RecVAE, RecVAEConfig
from foldin.models.baselines.popularity import Popularity, PopularityConfig
from foldin.models.capability import (
    BoundedLikelihood,
    Components,
    DotProduct,
    ItemFeatures,
    ItemTokens,
    LatentPosterior,
    OnnxGraph,
    PosteriorSampler,
    capability,
    has_capability,
    required,
    top_items,
)
from foldin.models.contract import Recommender
from foldin.models.diffusion.diffrec import DiffRec, DiffRecConfig
from foldin.models.diffusion.latent_diffrec import LatentDiffRec, LatentDiffRecConfig
from foldin.models.linear.als import ALS, ALSConfig
from foldin.models.linear.ease import EASE, EASEConfig
from foldin.models.linear.itemknn import ItemKNN, ItemKNNConfig
from foldin.models.registry import MODELS, config_class, config_of, model_name
from foldin.models.semantic.semantic_ids import SemanticIds, SemanticIdsConfig
from foldin.models.sequential.sasrec import Reading, SASRec, SASRecConfig
from foldin.models.start import PopularStart, log_shares
from foldin.models.streams import Streams, history_key, keys_of, stream, streams, user_key
from foldin.models.topics.lda import LDA, LDAConfig
from foldin.models.topics.mixture import MixtureOfMultinomials, MixtureOfMultinomialsConfig
from foldin.models.topics.plsa import PLSA, PLSAConfig
from foldin.models.topics.poisson import PoissonFactorization, PoissonFactorizationConfig

__all__ = [
    "ALS",
    "EASE",
    "LDA",
    "MODELS",
    "PLSA",
    "ALSConfig",
    "BoundedLikelihood",
    "Components",
    "DiffRec",
    "DiffRecConfig",
    "DotProduct",
    "EASEConfig",
    "ItemFeatures",
    "ItemKNN",
    "ItemKNNConfig",
    "ItemTokens",
    "LDAConfig",
    "LatentDiffRec",
    "LatentDiffRecConfig",
    "LatentPosterior",
    "MixtureOfMultinomials",
    "MixtureOfMultinomialsConfig",
    "MultDAE",
    "MultDAEConfig",
    "MultVAE",
    "MultVAEConfig",
    "OnnxGraph",
    "PLSAConfig",
    "PoissonFactorization",
    "PoissonFactorizationConfig",
    "PopularStart",
    "Popularity",
    "PopularityConfig",
    "PosteriorSampler",
    "Reading",
    "RecVAE",
    "RecVAEConfig",
    "Recommender",
    "SASRec",
    "SASRecConfig",
    "SemanticIds",
    "SemanticIdsConfig",
    "Streams",
    "capability",
    "config_class",
    "config_of",
    "has_capability",
    "history_key",
    "keys_of",
    "log_shares",
    "model_name",
    "required",
    "stream",
    "streams",
    "top_items",
    "user_key",
]
