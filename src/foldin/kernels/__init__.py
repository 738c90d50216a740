"""Fast paths: sparse input layers, fused softmax losses, top-k, matrix products, reusable buffers, and a thread pool."""

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
from foldin.kernels.products import matmul_into
from foldin.kernels.softmax import log_total, multinomial_from_hidden, multinomial_log_likelihood
from foldin.kernels.topk import top_k

__all__ = [
    "Buffers",
    "bag_of_items",
    "drop_events",
    "log_total",
    "matmul_into",
    "multinomial_from_hidden",
    "multinomial_log_likelihood",
    "padded_bag",
    "padded_recency_weights",
    "read_weights",
    "recency_weights",
    "softmax_cross_entropy",
    "sums_by_item",
    "top_k",
    "unit_rows",
    "unit_weights",
]
