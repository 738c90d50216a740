"""The equations of the bound report with a model's own numbers in the place of the terms, each term in one color."""

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from foldin.formulas import formula

__all__ = ["EquationTerm", "Substituted", "equation_html", "substituted"]

# The same colors as in the book's figures (`book/figures/figures.css`): term → (on a light ground, on a dark one).
COLORS = {
    "evidence": ("#1b2230", "#e8ecf4"),
    "elbo": ("#0f766e", "#5eead4"),
    "gap": ("#c2410c", "#fb923c"),
    "reconstruction": ("#a16207", "#fcd34d"),
    "kl": ("#be185d", "#f472b6"),
    "information": ("#7e22ce", "#c4b5fd"),
    "correlation": ("#0369a1", "#7dd3fc"),
    "dimension": ("#15803d", "#86efac"),
}
_LIGHT, _DARK = (";".join(f"--term-{name}:{pair[at]}" for name, pair in COLORS.items()) for at in (0, 1))
STYLE = f"""
:root {{ {_LIGHT} }}
@media (prefers-color-scheme: dark) {{ :root {{ {_DARK} }} }}
.equation {{ margin: 1rem 0; }} .equation p {{ margin: .3rem 0; }}
.equation .sum {{ display: flex; flex-wrap: wrap; gap: .4rem .9rem; align-items: flex-end; }}
.equation .term {{ display: flex; flex-direction: column; border-bottom: 4px solid; padding: 0 .2rem .2rem; }}
.equation .sign {{ padding-bottom: .6rem; }}
.equation .value {{ font-variant-numeric: tabular-nums; font-weight: 600; }}
.equation .bar {{ display: flex; height: .8rem; max-width: 40rem; margin: .5rem 0; }}
"""


@dataclass(frozen=True, kw_only=True)
class EquationTerm:
    """One term of an equation with its number.

    Args:
        mathml: the term as MathML.
        name: key of its color, and what a style sheet calls it.
        value: in nats; None if it is not finite.
        sign: "", "=", "+" or "−", in front of it.
        only: "≥" if the value is a lower bound on the term, else "".
    """

    mathml: str
    name: str
    value: float | None
    sign: str
    only: str = ""


@dataclass(frozen=True, kw_only=True)
class Substituted:
    """An equation with a model's numbers.

    Args:
        label: of the formula in `foldin.formulas`.
        title: what it is.
        mathml: the whole equation as MathML.
        terms: its terms in order.
        sentence: what the numbers say.
        page: where the book derives it: chapter and label of the equation there.
    """

    label: str
    title: str
    mathml: str
    terms: list[EquationTerm]
    sentence: str
    page: str

    def as_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {**vars(self), "terms": [vars(one) for one in self.terms]}


def substituted(bounds: Mapping[str, Any]) -> list[Substituted]:
    """The three equations of a bound report, in nats per row: evidence, the ELBO's terms, the decomposition of the KL.

    Args:
        bounds: the report of `foldin.inference.bound_report`.
    """
    row = bounds["called"]["row"]
    parts = bounds["decomposition"][bounds["decomposition"]["method"]]

    def value(entry: Mapping[str, Any]) -> float | None:
        found: float | None = entry[f"per_{row}"]
        return found

    bound, gap = bounds["bound"], bounds["gap"]
    tight, elbo = value(gap["best_bound"]), value(bound["estimator_a"])
    evidence = _equation(
        "evidence",
        "aevb/evidence",
        [("evidence", tight, "≥"), ("elbo", elbo, ""), ("gap", value(gap["gap_at_least"]), "≥")],
        f"The encoder's q is at least {_nats(value(gap['gap_at_least']))} from the posterior of a {row}: so much of log p(x) the "
        "ELBO misses. How much more there is, the bounds cannot say. (Here the ELBO is from the draws of the best bound.)",
    )
    terms = _equation(
        "two-terms",
        "aevb/two-terms",
        [
            ("elbo", value(bound["elbo"]), ""),
            ("reconstruction", value(bound["reconstruction"]), ""),
            ("kl", value(bound["kl"]), ""),
        ],
        f"A {row} costs {_nats(value(bound['reconstruction']), absolute=True)} when its code is known, "
        f"and the code itself costs {_nats(value(bound['kl']))}.",
    )
    split = _equation(
        "kl-decomposition",
        "kl-decomposition/three-terms",
        [
            ("kl", parts["kl"], ""),
            ("information", parts["mutual_information"], ""),
            ("correlation", parts["total_correlation"], ""),
            ("dimension", parts["dimension_wise_kl"], ""),
        ],
        f"Of the KL to a standard normal, {_share(parts['mutual_information'], parts['kl'])} says which {row} it is; "
        f"{_share(parts['total_correlation'], parts['kl'])} is dependence between dimensions, and the rest is dimensions that "
        "are not distributed as the prior.",
    )
    return [evidence, terms, split]


def _equation(label: str, place: str, numbers: list[tuple[str, float | None, str]], sentence: str) -> Substituted:
    one = formula(label)
    signs = ["", "=", *("−" if label == "two-terms" else "+" for _ in numbers[2:])]
    terms = [
        EquationTerm(mathml=mathml, name=name, value=value, sign=sign, only=only)
        for mathml, (name, value, only), sign in zip(one.mathml_of_terms, numbers, signs, strict=True)
    ]
    chapter, name = place.split("/")
    page = f"{chapter}.html#eq-{chapter}-{name}"
    return Substituted(label=label, title=one.title, mathml=one.mathml, terms=terms, sentence=sentence, page=page)


def _nats(value: float | None, *, absolute: bool = False) -> str:
    return "an unknown number of nats" if value is None else f"{abs(value) if absolute else value:.2f} nats"


def _share(part: float | None, whole: float | None) -> str:
    if part is None or whole is None:
        return "an unknown share"
    return f"{part / whole:.0%}" if whole > 0 else "nothing"


def equation_html(one: Substituted) -> str:
    """An equation with its numbers, a bar of the right side's terms, the sentence, and where the book has it."""
    summands = one.terms[1:]
    total = sum(abs(term.value or 0.0) for term in summands) or 1.0
    shown = "".join(
        f'<span class="sign">{term.sign}</span>'
        * bool(term.sign)
        + f'<span class="term" style="border-color:var(--term-{term.name})">{term.mathml}'
        f'<span class="value">{html.escape(_number(term))}</span></span>'
        for term in one.terms
    )
    bar = "".join(
        f'<span style="width:{100 * abs(term.value or 0.0) / total:.2f}%;background:var(--term-{term.name})"></span>'
        for term in summands
    )
    return (
        f'<div class="equation"><p><strong>{html.escape(one.title)}</strong></p><div class="sum">{shown}</div>'
        f'<div class="bar" aria-hidden="true">{bar}</div><p>{html.escape(one.sentence)} '
        f"In the book: <code>{html.escape(one.page)}</code> (<code>foldin docs</code>).</p></div>"
    )


def _number(term: EquationTerm) -> str:
    text = "–" if term.value is None else f"{term.value:.2f}".replace("-", "−")
    return f"{term.only} {text}".strip()
