"""Rates of one draw of users and items."""

import numpy as np
import torch

from foldin.tensors import Array, Float, Tensor

__all__ = ["log_of_product"]


def log_of_product(
    users: Float[Array, "users components"], items: Float[Array, "items components"]
) -> Float[Tensor, "users items"]:
    """log Σ_k exp(users_uk + items_ik) up to a constant a user, in single precision; nothing is below e⁻⁸⁵."""
    a = np.exp(users - users.max(axis=1, keepdims=True)).astype(np.float32)
    b = np.exp(items - items.max()).astype(np.float32)
    return torch.from_numpy(np.maximum(a @ b.T, np.float32(1e-37))).log_()
