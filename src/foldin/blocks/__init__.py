"""Building blocks shared by models: sparse in, fused out, causal transformer, losses, top-k."""

from foldin.blocks.allocation import Allocated, allocate, even_parts, local_ascent
from foldin.blocks.bag import (
    bag_of_items,
    drop_events,
    padded_bag,
    padded_recency_weights,
    read_weights,
    recency_weights,
    unit_rows,
    unit_weights,
)
from foldin.blocks.buffers import Buffers
from foldin.blocks.code_beam import code_beam
from foldin.blocks.code_decoder import CodeDecoder
from foldin.blocks.code_scores import CodeScores
from foldin.blocks.code_tree import CodeTree, told_apart
from foldin.blocks.code_use import CodeUse, code_use
from foldin.blocks.convolution import ConvolutionalDecoder, ConvolutionalEncoder, ConvolutionShape, grid_of
from foldin.blocks.cross_entropy import softmax_cross_entropy
from foldin.blocks.denoiser import MLPDenoiser, step_embedding
from foldin.blocks.digamma import digamma
from foldin.blocks.dropout import dropout
from foldin.blocks.gemm import matmul_into
from foldin.blocks.history_denoiser import HistoryDenoiser
from foldin.blocks.item_vectors import BUCKETS, TitleVectors, collaborative_vectors, sentence_vectors
from foldin.blocks.mlp import MLP
from foldin.blocks.negatives import negatives_not_taken, shared_negatives
from foldin.blocks.next_item import binary_loss, calibration, sampled_softmax_loss
from foldin.blocks.noise_schedule import PREDICTIONS, NoiseSchedule
from foldin.blocks.noisy_bag import noisy_bag
from foldin.blocks.quantiser import ProductQuantiser, Quantised, ResidualQuantiser, VectorQuantiser
from foldin.blocks.sequence_encoder import SequenceEncoder
from foldin.blocks.sequences import (
    Sequences,
    batches_by_length,
    batches_of_transitions,
    cut_by_length,
    encoder_bytes,
    newest,
    step_bytes,
    transitions,
)
from foldin.blocks.softmax import log_total, multinomial_from_hidden, multinomial_log_likelihood
from foldin.blocks.squared_error import squared_error_from_hidden
from foldin.blocks.step_sampler import StepSampler
from foldin.blocks.topk import top_k
from foldin.blocks.transformer import Cache, Transformer, TransformerShape
from foldin.blocks.unet import UNet, UNetShape

__all__ = [
    "BUCKETS",
    "MLP",
    "PREDICTIONS",
    "Allocated",
    "Buffers",
    "Cache",
    "CodeDecoder",
    "CodeScores",
    "CodeTree",
    "CodeUse",
    "ConvolutionShape",
    "ConvolutionalDecoder",
    "ConvolutionalEncoder",
    "HistoryDenoiser",
    "MLPDenoiser",
    "NoiseSchedule",
    "ProductQuantiser",
    "Quantised",
    "ResidualQuantiser",
    "SequenceEncoder",
    "Sequences",
    "StepSampler",
    "TitleVectors",
    "Transformer",
    "TransformerShape",
    "UNet",
    "UNetShape",
    "VectorQuantiser",
    "allocate",
    "bag_of_items",
    "batches_by_length",
    "batches_of_transitions",
    "binary_loss",
    "calibration",
    "code_beam",
    "code_use",
    "collaborative_vectors",
    "cut_by_length",
    "digamma",
    "drop_events",
    "dropout",
    "encoder_bytes",
    "even_parts",
    "grid_of",
    "local_ascent",
    "log_total",
    "matmul_into",
    "multinomial_from_hidden",
    "multinomial_log_likelihood",
    "negatives_not_taken",
    "newest",
    "noisy_bag",
    "padded_bag",
    "padded_recency_weights",
    "read_weights",
    "recency_weights",
    "sampled_softmax_loss",
    "sentence_vectors",
    "shared_negatives",
    "softmax_cross_entropy",
    "squared_error_from_hidden",
    "step_bytes",
    "step_embedding",
    "told_apart",
    "top_k",
    "transitions",
    "unit_rows",
    "unit_weights",
]
