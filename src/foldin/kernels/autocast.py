"""Matrix products in a shorter number format than everything else, under `torch.autocast`.

PyTorch's layers take the format of autocast by themselves. A kernel with a backward pass of its own asks for it here, rounds the
factors of its products to it, and keeps all else in float32: what is added to a product, the softmax, and every sum.
"""

import torch

from foldin.tensors import Float, Tensor

__all__ = ["at_least_float32", "product_format"]


def product_format(x: Float[Tensor, "*shape"]) -> torch.dtype | None:
    """Number format of the factors of matrix products where `torch.autocast` is on for the device of x; None where it is off."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None


def at_least_float32(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """x in float32 if its format has fewer digits, such as the output of a layer under autocast; else x itself."""
    return x if x.dtype.itemsize >= 4 else x.float()
