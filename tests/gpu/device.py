"""The device of the tests in this folder: a GPU, or what the environment names, to try the tests themselves without one.

FOLDIN_TEST_DEVICE=cpu pytest tests/gpu
"""

import os

import torch

from foldin.errors import ConfigError
from foldin.experiment import choose_device

__all__ = ["DEVICE", "available"]

DEVICE = os.environ.get("FOLDIN_TEST_DEVICE", "cuda")
# Products of float32 numbers in float32, so that a GPU can be compared with the CPU.
torch.backends.cuda.matmul.allow_tf32 = False
torch.backends.cudnn.allow_tf32 = False


def available(device: str) -> bool:
    """Whether PyTorch can compute on the device."""
    try:
        choose_device(device)
    except ConfigError:
        return False
    return True
