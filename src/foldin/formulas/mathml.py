"""Formulas as MathML, as `docs/write_formulas.py` wrote them."""

import functools
import json
from importlib import resources

__all__ = ["mathml_of"]


@functools.cache
def mathml_of(package: str) -> dict[str, str]:
    """Label → MathML of the formulas of a package that has a file `mathml.json`."""
    text = resources.files(package).joinpath("mathml.json").read_text(encoding="utf-8")
    return {label: one["mathml"] for label, one in json.loads(text)["formulas"].items()}
