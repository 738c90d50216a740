"""Recommenders, one file each. What is in `ALL` is on the command line, in the contract tests and in the docs."""

from foldin.models.autoencoders.multdae import MultDAE, MultDAEConfig
from foldin.models.autoencoders.multvae import MultVAE, MultVAEConfig
from foldin.models.autoencoders.recvae import RecVAE, RecVAEConfig
from foldin.models.baselines.popularity import Popularity, PopularityConfig
from foldin.models.contract import Described, Exportable, InnerProduct, ItemTokens, Recommender, Segmented
from foldin.models.diffusion.diffrec import DiffRec, DiffRecConfig
from foldin.models.diffusion.latent_diffrec import LatentDiffRec, LatentDiffRecConfig
from foldin.models.linear.als import ALS, ALSConfig
from foldin.models.linear.ease import EASE, EASEConfig
from foldin.models.linear.itemknn import ItemKNN, ItemKNNConfig
from foldin.models.posterior import Posterior
from foldin.models.semantic.semantic_ids import SemanticIds, SemanticIdsConfig
from foldin.models.sequential.sasrec import Reading, SASRec, SASRecConfig
from foldin.models.start import PopularStart, log_shares
from foldin.models.streams import Streams, history_key, keys_of, stream, streams, user_key
from foldin.models.topics.lda import LDA, LDAConfig
from foldin.models.topics.mixture import MixtureOfMultinomials, MixtureOfMultinomialsConfig
from foldin.models.topics.plsa import PLSA, PLSAConfig
from foldin.models.topics.poisson import PoissonFactorization, PoissonFactorizationConfig
from foldin.models.variational import Variational

ALL: dict[str, type[Recommender]] = {
    "popularity": Popularity,
    "itemknn": ItemKNN,
    "ease": EASE,
    "als": ALS,
    "mixture": MixtureOfMultinomials,
    "plsa": PLSA,
    "lda": LDA,
    "poisson": PoissonFactorization,
    "multdae": MultDAE,
    "multvae": MultVAE,
    "recvae": RecVAE,
    "diffrec": DiffRec,
    "l-diffrec": LatentDiffRec,
    "sasrec": SASRec,
    "semantic": SemanticIds,
}

__all__ = [
    "ALL",
    "ALS",
    "EASE",
    "LDA",
    "PLSA",
    "ALSConfig",
    "Described",
    "DiffRec",
    "DiffRecConfig",
    "EASEConfig",
    "Exportable",
    "InnerProduct",
    "ItemKNN",
    "ItemKNNConfig",
    "ItemTokens",
    "LDAConfig",
    "LatentDiffRec",
    "LatentDiffRecConfig",
    "MixtureOfMultinomials",
    "MixtureOfMultinomialsConfig",
    "MultDAE",
    "MultDAEConfig",
    "MultVAE",
    "MultVAEConfig",
    "PLSAConfig",
    "PoissonFactorization",
    "PoissonFactorizationConfig",
    "PopularStart",
    "Popularity",
    "PopularityConfig",
    "Posterior",
    "Reading",
    "RecVAE",
    "RecVAEConfig",
    "Recommender",
    "SASRec",
    "SASRecConfig",
    "Segmented",
    "SemanticIds",
    "SemanticIdsConfig",
    "Streams",
    "Variational",
    "history_key",
    "keys_of",
    "log_shares",
    "stream",
    "streams",
    "user_key",
]
