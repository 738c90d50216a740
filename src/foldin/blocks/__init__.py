"""Building blocks shared by models: sparse in, fused out, causal transformer, losses, top-k."""

from foldin.blocks.allocation import Allocated, allocate, even_parts, local_ascent
from foldin.blocks.bag import bag_of_items, drop_events, padded_bag, unit_weights
from foldin.blocks.buffers import Buffers
from foldin.blocks.code_use import CodeUse, code_use
from foldin.blocks.cross_entropy import softmax_cross_entropy
from foldin.blocks.digamma import digamma
from foldin.blocks.dropout import dropout
from foldin.blocks.gemm import matmul_into
from foldin.blocks.negatives import negatives_not_taken, shared_negatives
from foldin.blocks.next_item import binary_loss, calibration, sampled_softmax_loss
from foldin.blocks.quantiser import ProductQuantiser, Quantised, ResidualQuantiser, VectorQuantiser
from foldin.blocks.sequence_encoder import SequenceEncoder
from foldin.blocks.sequences import Sequences, batches_by_length, cut_by_length, newest, transitions
from foldin.blocks.softmax import log_total, multinomial_from_hidden, multinomial_log_likelihood
from foldin.blocks.topk import top_k
from foldin.blocks.transformer import Cache, Transformer, TransformerShape

__all__ = [
    "Allocated",
    "Buffers",
    "Cache",
    "CodeUse",
    "ProductQuantiser",
    "Quantised",
    "ResidualQuantiser",
    "SequenceEncoder",
    "Sequences",
    "Transformer",
    "TransformerShape",
    "VectorQuantiser",
    "allocate",
    "bag_of_items",
    "batches_by_length",
    "binary_loss",
    "calibration",
    "code_use",
    "cut_by_length",
    "digamma",
    "drop_events",
    "dropout",
    "even_parts",
    "local_ascent",
    "log_total",
    "matmul_into",
    "multinomial_from_hidden",
    "multinomial_log_likelihood",
    "negatives_not_taken",
    "newest",
    "padded_bag",
    "sampled_softmax_loss",
    "shared_negatives",
    "softmax_cross_entropy",
    "top_k",
    "transitions",
    "unit_weights",
]
