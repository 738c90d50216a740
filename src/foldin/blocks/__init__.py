"""Building blocks shared by models: sparse in, fused out, top-k."""

from foldin.blocks.bag import bag_of_items, drop_events, unit_weights
from foldin.blocks.buffers import Buffers
from foldin.blocks.gemm import matmul_into
from foldin.blocks.softmax import log_total, multinomial_from_hidden, multinomial_log_likelihood
from foldin.blocks.topk import top_k

__all__ = [
    "Buffers",
    "bag_of_items",
    "drop_events",
    "log_total",
    "matmul_into",
    "multinomial_from_hidden",
    "multinomial_log_likelihood",
    "top_k",
    "unit_weights",
]
