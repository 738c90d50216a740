"""Recommenders, one file each. The models in `MODELS` are on the command line, in the contract tests and in the docs."""

from foldin.models.autoencoders.feature_decoder import FeatureDecoder
from foldin.models.autoencoders.kl_weight import ConstantKL, KLPerItem
from foldin.models.autoencoders.multdae import MultDAE, MultDAEConfig
from foldin.models.autoencoders.multvae import MultVAE, MultVAEConfig
from foldin.models.autoencoders.recvae import Alternating, ImplicitSLIM, RecVAE, RecVAEConfig
from foldin.models.baselines.contentknn import ContentKNN, ContentKNNConfig
from foldin.models.baselines.personal import PersonalPopularity, PersonalPopularityConfig
from foldin.models.baselines.popularity import Popularity, PopularityConfig
from foldin.models.baselines.two_tower import TwoTower, TwoTowerConfig
from foldin.models.capability import (
    BoundedLikelihood,
    Components,
    DotProduct,
    Experts,
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
from foldin.models.diffusion.diffrec import DiffRec, DiffRecConfig, TDiffRec, TDiffRecConfig
from foldin.models.diffusion.heads import Multinomial, SquaredError
from foldin.models.diffusion.latent_diffrec import LatentDiffRec, LatentDiffRecConfig
from foldin.models.diffusion.noise import LinearVariance
from foldin.models.ensemble.objectives import HeldOutLikelihood, HeldOutNDCG
from foldin.models.ensemble.product import ProductOfExperts, ProductOfExpertsConfig
from foldin.models.ensemble.repeats import RepeatMixture, RepeatMixtureConfig
from foldin.models.evidence import Dislikes, WeightedEvents
from foldin.models.extends_items import ExtendsItems, KeepsForNewItems
from foldin.models.feature_regression import RegressedItems
from foldin.models.feature_vectors import FeatureVectors
from foldin.models.incremental import IncrementalTrainer
from foldin.models.item_features import FeatureReader
from foldin.models.item_rows import ItemRows
from foldin.models.linear.als import ALS, ALSConfig
from foldin.models.linear.ease import EASE, EASEConfig
from foldin.models.linear.edlae import EDLAE, EDLAEConfig
from foldin.models.linear.elsa import ELSA, ELSAConfig
from foldin.models.linear.feature_rows import FeatureRows
from foldin.models.linear.ials import IALS, IALSConfig
from foldin.models.linear.itemknn import ItemKNN, ItemKNNConfig
from foldin.models.linear.sansa import SANSA, SANSAConfig
from foldin.models.linear.slim import SLIM, SLIMConfig
from foldin.models.mergeable import MergeableStatistics, statistics_of_catalog
from foldin.models.multinomial_loss import FullMultinomial, SampledMultinomial
from foldin.models.negatives import InBatchNegatives, PopularNegatives, SmoothedNegatives, UniformNegatives
from foldin.models.registry import MODELS, config_class, config_of, model_name
from foldin.models.semantic.semantic_ids import SemanticIds, SemanticIdsConfig
from foldin.models.sequential._reading import Reading
from foldin.models.sequential.frequency_bias import FrequencyBias
from foldin.models.sequential.gated_attention import GatedAttention
from foldin.models.sequential.linear_recurrence import LinearRecurrence
from foldin.models.sequential.losses import BCE, GBCE, FullSoftmax, SampledSoftmax
from foldin.models.sequential.mixers import Attention, EventMixer
from foldin.models.sequential.positions import LearnedPositions, RelativePositions, RotaryPositions
from foldin.models.sequential.sasrec import SASRec, SASRecConfig
from foldin.models.start import PopularStart, dislikes_inform, log_shares
from foldin.models.streams import Streams, history_key, keys_of, stream, streams, user_key
from foldin.models.token_sources import (
    FromLog,
    FromLogAndSentences,
    FromLogAndTitles,
    FromSentences,
    FromTitles,
    RandomTokens,
    ResidualKMeans,
    RQVAETokens,
)
from foldin.models.topics.lda import LDA, LDAConfig
from foldin.models.topics.mixture import MixtureOfMultinomials, MixtureOfMultinomialsConfig
from foldin.models.topics.online import CoordinateAscent, Online, StochasticAscent
from foldin.models.topics.plsa import PLSA, PLSAConfig
from foldin.models.topics.poisson import PoissonFactorization, PoissonFactorizationConfig
from foldin.models.user_features import UserFeatures
from foldin.training import RisingOverShare, RisingOverUpdates

__all__ = [
    "ALS",
    "BCE",
    "EASE",
    "EDLAE",
    "ELSA",
    "GBCE",
    "IALS",
    "LDA",
    "MODELS",
    "PLSA",
    "SANSA",
    "SLIM",
    "ALSConfig",
    "Alternating",
    "Attention",
    "BoundedLikelihood",
    "Components",
    "ConstantKL",
    "ContentKNN",
    "ContentKNNConfig",
    "CoordinateAscent",
    "DiffRec",
    "DiffRecConfig",
    "Dislikes",
    "DotProduct",
    "EASEConfig",
    "EDLAEConfig",
    "ELSAConfig",
    "EventMixer",
    "Experts",
    "ExtendsItems",
    "FeatureDecoder",
    "FeatureReader",
    "FeatureRows",
    "FeatureVectors",
    "FrequencyBias",
    "FromLog",
    "FromLogAndSentences",
    "FromLogAndTitles",
    "FromSentences",
    "FromTitles",
    "FullMultinomial",
    "FullSoftmax",
    "GatedAttention",
    "HeldOutLikelihood",
    "HeldOutNDCG",
    "IALSConfig",
    "ImplicitSLIM",
    "InBatchNegatives",
    "IncrementalTrainer",
    "ItemFeatures",
    "ItemKNN",
    "ItemKNNConfig",
    "ItemRows",
    "ItemTokens",
    "KLPerItem",
    "KeepsForNewItems",
    "LDAConfig",
    "LatentDiffRec",
    "LatentDiffRecConfig",
    "LatentPosterior",
    "LearnedPositions",
    "LinearRecurrence",
    "LinearVariance",
    "MergeableStatistics",
    "MixtureOfMultinomials",
    "MixtureOfMultinomialsConfig",
    "MultDAE",
    "MultDAEConfig",
    "MultVAE",
    "MultVAEConfig",
    "Multinomial",
    "Online",
    "OnnxGraph",
    "PLSAConfig",
    "PersonalPopularity",
    "PersonalPopularityConfig",
    "PoissonFactorization",
    "PoissonFactorizationConfig",
    "PopularNegatives",
    "PopularStart",
    "Popularity",
    "PopularityConfig",
    "PosteriorSampler",
    "ProductOfExperts",
    "ProductOfExpertsConfig",
    "RQVAETokens",
    "RandomTokens",
    "Reading",
    "RecVAE",
    "RecVAEConfig",
    "Recommender",
    "RegressedItems",
    "RelativePositions",
    "RepeatMixture",
    "RepeatMixtureConfig",
    "ResidualKMeans",
    "RisingOverShare",
    "RisingOverUpdates",
    "RotaryPositions",
    "SANSAConfig",
    "SASRec",
    "SASRecConfig",
    "SLIMConfig",
    "SampledMultinomial",
    "SampledSoftmax",
    "SemanticIds",
    "SemanticIdsConfig",
    "SmoothedNegatives",
    "SquaredError",
    "StochasticAscent",
    "Streams",
    "TDiffRec",
    "TDiffRecConfig",
    "TwoTower",
    "TwoTowerConfig",
    "UniformNegatives",
    "UserFeatures",
    "WeightedEvents",
    "capability",
    "config_class",
    "config_of",
    "dislikes_inform",
    "has_capability",
    "history_key",
    "keys_of",
    "log_shares",
    "model_name",
    "required",
    "statistics_of_catalog",
    "stream",
    "streams",
    "top_items",
    "user_key",
]
