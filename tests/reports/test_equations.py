"""The equations with a model's numbers: they add up, are shown as the report's own numbers, and keep their colors everywhere."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from foldin.book import FIGURES, equations
from foldin.data import Examples
from foldin.generative import VAE, VAEConfig
from foldin.inference import bound_report
from foldin.reports.equations import COLORS, equation_html, substituted
from foldin.serve.studio.routes import FOLDER


@pytest.fixture(scope="module")
def bounds():
    x = Examples(torch.randint(0, 2, (12, 9), generator=torch.Generator().manual_seed(0)).float())
    model = VAE((9,), VAEConfig(hidden_dims=(6,), latent_dim=2), seed=0)
    return bound_report(model, x, np.full(12, 9.0), draws=20, annealed=0, refine_steps=5)


def test_each_equation_adds_up_to_its_left_side(bounds):
    found = substituted(bounds)
    assert [one.label for one in found] == ["evidence", "two-terms", "kl-decomposition"]
    for one in found:
        left, *right = [term.value for term in one.terms]
        signs = [-1.0 if term.sign == "−" else 1.0 for term in one.terms[1:]]
        assert left == pytest.approx(sum(sign * value for sign, value in zip(signs, right, strict=True)), abs=1e-4)
        assert len({term.name for term in one.terms}) == len(one.terms)  # each term has a color of its own


def test_what_is_only_bounded_says_so(bounds):
    evidence, terms, split = substituted(bounds)
    assert [term.only for term in evidence.terms] == ["≥", "", "≥"]
    assert not any(term.only for one in (terms, split) for term in one.terms)
    assert evidence.terms[0].value == bounds["gap"]["best_bound"]["per_user"]
    assert terms.terms[2].value == bounds["bound"]["kl"]["per_user"]


def test_the_page_shows_terms_and_numbers_and_where_the_book_derives_them(bounds):
    for one in substituted(bounds):
        page = equation_html(one)
        assert page.count("<math") == len(one.terms)
        for term in one.terms:
            assert f"{abs(term.value):.2f}" in page
            assert ElementTree.fromstring(term.mathml).tag == "math"
        chapter, anchor = one.page.split(".html#eq-")
        assert f"{chapter}/{anchor.removeprefix(chapter + '-')}" in equations()


def test_an_infinite_number_is_a_dash():
    entry = {"per_user": None, "per_item": None}
    parts = {"kl": None, "mutual_information": 0.5, "total_correlation": None, "dimension_wise_kl": None}
    bounds = {
        "called": {"row": "user", "unit": "item"},
        "bound": {"elbo": entry, "estimator_a": entry, "reconstruction": entry, "kl": entry},
        "gap": {"best_bound": entry, "gap_at_least": entry},
        "decomposition": {"method": "all", "all": parts},
    }
    evidence, terms, split = substituted(bounds)
    assert "unknown number of nats" in evidence.sentence
    assert "an unknown share" in split.sentence
    assert equation_html(terms).count("–</span>") == 3


def _themes(text: str, prefix: str) -> list[dict[str, str]]:
    """The colors of each block of a style sheet that sets them."""
    blocks = re.findall(r"\{([^{}]*)\}", text)
    return [dict(found) for one in blocks if (found := re.findall(rf"--{prefix}-(\w+):\s*(#\w+)", one))]


def test_a_term_has_one_color_in_reports_the_studio_and_the_figures():
    studio = _themes((FOLDER / "style.css").read_text(encoding="utf-8"), "term")
    assert studio == [{name: pair[at] for name, pair in COLORS.items()} for at in (0, 1)]
    light, dark, system = _themes((FIGURES / "figures.css").read_text(encoding="utf-8"), "figure")
    assert dark == system
    for name in COLORS.keys() - {"evidence"}:
        assert (light[name], dark[name]) == COLORS[name]
