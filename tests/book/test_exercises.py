"""The checker of answers."""

import math

import pytest

import foldin.book
from foldin.book import EXERCISES, check
from foldin.errors import ConfigError


@pytest.mark.parametrize("name", EXERCISES)
def test_the_right_value_is_right_and_another_is_not(name):
    value, allowed = EXERCISES[name].value(), EXERCISES[name].allowed
    assert math.isfinite(value)
    assert check(name, value)
    assert check(name, value + 0.9 * allowed)
    for off, side in ((2.0, "too large"), (-2.0, "too small")):
        verdict = check(name, value + off * allowed)
        assert not verdict
        assert side in repr(verdict)
        assert EXERCISES[name].hint in repr(verdict)
        assert f"{value:.4f}" not in repr(verdict)


def test_what_it_says():
    assert repr(foldin.book.check("kl-decomposition/1", 0.69)) == (
        "right: 0.6931 nats (yours differs by 0.0031, and 0.01 is allowed)"
    )
    assert not check("kl-decomposition/1", float("nan"))
    with pytest.raises(ConfigError, match=r"'kl/9' is not an exercise with a checker; there are .*kl-decomposition/1"):
        check("kl/9", 1.0)
    with pytest.raises(ConfigError, match="a number was expected, not 'two'"):
        check("kl-decomposition/1", "two")
