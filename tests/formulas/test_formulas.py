"""The formulas have one origin: what docstrings, `help` and the rendered formulas say is what the files say."""

import dataclasses
import importlib
import inspect
import json
import pydoc
import re
from importlib import resources
from pathlib import Path
from xml.etree import ElementTree

import pytest

import foldin
from foldin.formulas import formula, formulas, formulas_of
from foldin.models import MODELS

KEYS = set(
    re.findall(r"^@\w+\{(\w+),", (Path(__file__).parents[2] / "docs" / "references.bib").read_text("utf-8"), re.M)
)
MATHML = json.loads(resources.files("foldin.formulas").joinpath("mathml.json").read_text("utf-8"))["formulas"]


def computing(one):
    module, name = one.computed_by.rsplit(".", 1)
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("label", formulas())
def test_a_formula_is_what_something_computes_and_says_of_itself(label):
    one = formula(label)
    found = computing(one)
    home = inspect.getmodule(found)
    assert one.text in f"{inspect.getdoc(home)}\n{inspect.getdoc(found)}", f"not in the docstrings of {home.__name__}"
    assert one.kind in ("definition", "identity", "bound")
    assert one.title
    assert one.symbols
    assert set(re.findall(r"\b[a-z]+(?:19|20)\d\d[a-z]?\b", one.source)) <= KEYS
    assert formulas_of(one.computed_by)


@pytest.mark.parametrize("label", formulas())
def test_its_mathml_is_of_today_and_well_formed(label):
    assert MATHML[label]["latex"] == formula(label).latex, "run `python docs/write_formulas.py`"
    assert ElementTree.fromstring(formula(label).mathml).tag == "math"


@pytest.mark.parametrize("label", [label for label, one in formulas().items() if one.terms])
def test_terms_are_parts_of_the_formula_in_its_order(label):
    one = formula(label)
    places = [one.latex.find(term) for term in one.terms]
    assert -1 not in places
    assert places == sorted(places)
    assert all(ElementTree.fromstring(term).tag == "math" for term in one.mathml_of_terms)


def test_none_is_left_of_formulas_that_are_gone():
    terms = {f"{label}, term {at}" for label, one in formulas().items() for at in range(len(one.terms))}
    assert MATHML.keys() == formulas().keys() | terms


@pytest.mark.parametrize("name", MODELS)
def test_help_of_a_model_has_its_equation_its_settings_with_ranges_and_an_example(name):
    config = MODELS[name]
    text = inspect.getdoc(config)
    assert text.splitlines()[0] in pydoc.render_doc(config, renderer=pydoc.plaintext)
    known = formulas_of(f"foldin.models.{config.model_class.__name__}")
    assert known
    for one in known:
        assert one.plain in text
    folded = re.sub(r"\s+", " ", text)
    for field in dataclasses.fields(config):
        assert f" {field.name}: {field.metadata['help']} (default " in folded
    assert f"foldin.train(split, foldin.{config.model_class.__name__}(" in text


def test_help_at_the_top_level_is_the_same():
    text = inspect.getdoc(foldin.EASE)
    assert "B = I − P diag(1 / diag P)" in text
    assert "regularization: Ridge penalty, λ. (default 500.0; > 0; searched 1:10000:log)" in text
