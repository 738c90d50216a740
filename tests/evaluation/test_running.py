import numpy as np
import pytest

from foldin.errors import ShapeError
from foldin.evaluation import RunningMean

VALUES = 1e6 + np.random.default_rng(0).normal(size=50)  # far from 0, where raw sums of squares would lose the variance


def fields(one: RunningMean) -> list[float]:
    return [float(one.count), float(one.mean), float(one.squares)]


def test_parts_add_up_to_the_whole():
    whole = RunningMean.of(VALUES)
    assert fields(whole) == pytest.approx([50.0, VALUES.mean(), VALUES.var() * 50])
    parts = [RunningMean.of(VALUES[a:b]) for a, b in ((0, 3), (3, 3), (3, 4), (4, 50))]
    for order in (parts, parts[::-1], [parts[1], *parts]):
        total = RunningMean.of([])
        for part in order:
            total = total + part
        assert fields(total) == pytest.approx(fields(whole), rel=1e-9)
    assert whole.variance == pytest.approx(VALUES.var(ddof=1), rel=1e-9)
    assert RunningMean.of([2.0]).variance == RunningMean.of([]).variance == 0.0


def test_along_is_that_of_every_beginning():
    looks = RunningMean.along(np.stack([VALUES, VALUES[::-1]]))
    for at in (0, 1, 17, 49):
        for row, values in enumerate((VALUES, VALUES[::-1])):
            assert fields(looks[row, at]) == pytest.approx(fields(RunningMean.of(values[: at + 1])), rel=1e-9, abs=1e-9)


def test_what_is_no_count_or_mean_is_refused():
    for wrong in ((-1.0, 0.0, 0.0), (1.0, 0.0, -1.0), (1.0, np.nan, 0.0)):
        with pytest.raises(ShapeError, match="finite numbers"):
            RunningMean(*map(np.asarray, wrong))
