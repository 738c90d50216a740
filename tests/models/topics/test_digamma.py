import numpy as np
from scipy.special import digamma as exact

from foldin.models.topics._digamma import digamma


def test_it_agrees_with_double_precision():
    x = np.concatenate([np.geomspace(1e-15, 1e9, 20_001), np.linspace(0.01, 50, 20_001)]).astype(np.float32)
    wanted = exact(x.astype(np.float64))
    assert digamma(x).dtype == np.float32
    assert (np.abs(digamma(x) - wanted) <= 1e-6 * np.maximum(1.0, np.abs(wanted))).all()


def test_its_argument_is_left_alone():
    x = np.full((2, 3), 0.5, np.float32)
    digamma(x)
    assert (x == 0.5).all()
