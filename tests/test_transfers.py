import numpy as np
import pytest
import torch

from foldin.transfers import sent


@pytest.mark.parametrize("dtype", [None, torch.int64])
def test_values_are_those_of_the_array(dtype):
    values = np.arange(12, dtype=np.int32).reshape(3, 4)[:, ::2]
    found = sent(values, "cpu", dtype)
    assert found.dtype == (dtype or torch.int32)
    assert found.tolist() == values.tolist()


def test_the_device_is_that_asked_for():
    assert sent(np.zeros(2), torch.device("meta")).device.type == "meta"
