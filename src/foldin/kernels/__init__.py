"""Fast paths: sparse input layers, fused softmax losses, top-k, matrix products, reusable buffers, and a thread pool."""

from foldin.kernels.autocast import at_least_float32, product_format
from foldin.kernels.bag import (
    bag_of_items,
    drop_events,
    padded_bag,
    padded_recency_weights,
    read_weights,
    recency_weights,
    sums_by_item,
    unit_rows,
    unit_weights,
)
from foldin.kernels.buffers import Buffers
from foldin.kernels.cross_entropy import softmax_cross_entropy
from foldin.kernels.devices import on_device
from foldin.kernels.devices_softmax import logits_bytes
from foldin.kernels.products import matmul_into
from foldin.kernels.proposal import Proposal
from foldin.kernels.rounding import stochastic_bfloat16
from foldin.kernels.sampled import ScoredItems, bag_of_rows, scored_items, scores_into, take_rows
from foldin.kernels.softmax import log_total, multinomial_from_hidden, multinomial_log_likelihood
from foldin.kernels.sparse_rows import row_gradient, rows_of
from foldin.kernels.topk import top_k

__all__ = [
    "Buffers",
    "Proposal",
    "ScoredItems",
    "at_least_float32",
    "bag_of_items",
    "bag_of_rows",
    "drop_events",
    "log_total",
    "logits_bytes",
    "matmul_into",
    "multinomial_from_hidden",
    "multinomial_log_likelihood",
    "on_device",
    "padded_bag",
    "padded_recency_weights",
    "product_format",
    "read_weights",
    "recency_weights",
    "row_gradient",
    "rows_of",
    "scored_items",
    "scores_into",
    "softmax_cross_entropy",
    "stochastic_bfloat16",
    "sums_by_item",
    "take_rows",
    "top_k",
    "unit_rows",
    "unit_weights",
]
