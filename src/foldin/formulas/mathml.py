"""Formulas as MathML and in words, as `docs/write_formulas.py` wrote them."""

import functools
import json
from importlib import resources

__all__ = ["korean_of", "mathml_of"]


@functools.cache
def _written(package: str) -> dict[str, dict[str, str]]:
    text = resources.files(package).joinpath("mathml.json").read_text(encoding="utf-8")
    found: dict[str, dict[str, str]] = json.loads(text)["formulas"]
    return found


def mathml_of(package: str) -> dict[str, str]:
    """Label → MathML of the formulas of a package that has a file `mathml.json`."""
    return {label: one["mathml"] for label, one in _written(package).items()}


def korean_of(package: str) -> dict[str, str]:
    """Label → the formula in Korean words, for screen readers."""
    return {label: one["spoken_ko"] for label, one in _written(package).items()}
