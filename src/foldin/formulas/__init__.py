"""The labelled formulas, whose only origin are the files beside this one: what `help`, the documentation and the studio show.

Each formula is what a function or a class computes, and its text stands in the docstring there or in that of the module.
"""

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources

from foldin.formulas.mathml import mathml_of

__all__ = ["Formula", "formula", "formulas", "formulas_of"]


@dataclass(frozen=True, kw_only=True)
class Formula:
    """A formula.

    Args:
        label: unique name.
        title: what the formula is of.
        kind: "definition", "identity" or "bound".
        latex: in LaTeX.
        terms: the parts of it that reports give numbers for, in LaTeX: the left side, then the summands of the right one.
        plain: as text, for terminals.
        computed_by: dotted name of the function or class that computes it.
        symbols: symbol → meaning.
        source: key in `docs/references.bib` and number of the equation; empty for what every textbook has.
        text: the line of a docstring that has it.
    """

    label: str
    title: str
    kind: str
    latex: str
    plain: str
    computed_by: str
    symbols: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    text: str = ""
    terms: tuple[str, ...] = ()

    @property
    def mathml(self) -> str:
        """As MathML, which browsers show without a script."""
        return mathml_of(__name__)[self.label]

    @property
    def mathml_of_terms(self) -> list[str]:
        """Each of the terms as MathML."""
        return [mathml_of(__name__)[f"{self.label}, term {at}"] for at in range(len(self.terms))]


@functools.cache
def formulas() -> Mapping[str, Formula]:
    """Every formula by its label."""
    found = {}
    for file in sorted(resources.files(__name__).iterdir(), key=lambda one: one.name):
        if file.name.endswith(".toml"):
            for entry in tomllib.loads(file.read_text(encoding="utf-8"))["formula"]:
                one = Formula(**{"plain": entry["text"], **entry, "terms": tuple(entry.get("terms", ()))})
                if one.label in found:
                    raise ValueError(f"{file.name}: the label {one.label!r} is there twice")
                found[one.label] = one
    return found


def formula(label: str) -> Formula:
    """The formula of a label.

    Raises:
        KeyError: there is none.
    """
    return formulas()[label]


def formulas_of(name: str) -> list[Formula]:
    """The formulas that a function or class computes, by its dotted name."""
    return [one for one in formulas().values() if one.computed_by == name]
