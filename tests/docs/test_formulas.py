"""The reference shows every formula as MathML, with its kind, symbols and source, and docstrings have each in its place."""

import importlib
import inspect
import re
import sys
import unicodedata
from pathlib import Path
from xml.etree import ElementTree

import pytest
from docutils import nodes
from latex2mathml.converter import convert

from foldin.formulas import formula, formulas, formulas_of
from foldin.models import MODELS

DOCS = Path(__file__).parents[2] / "docs"
REFERENCE = {path.name: path.read_text(encoding="utf-8") for path in (DOCS / "reference").glob("*.md")}
MATH = "{http://www.w3.org/1998/Math/MathML}math"


@pytest.fixture(scope="module")
def extension():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DOCS / "book"))
        before = set(sys.modules)
        yield importlib.import_module("formulas")
        for name in {"formulas", "directives"} - before:
            sys.modules.pop(name, None)


def letters(text: str) -> str:
    return re.sub(r"[^\w]|_", "", unicodedata.normalize("NFKD", text))


@pytest.mark.parametrize("label", formulas())
def test_a_formula_is_shown_with_what_it_says_of_itself(extension, label):
    one, box = formula(label), extension.shown(formula(label))
    body = ElementTree.fromstring(next(box.findall(nodes.raw)).astext())
    assert body.get("data-formula") == label
    [math] = body.findall(MATH)
    assert "".join(math.itertext()) == "".join(ElementTree.fromstring(one.mathml).itertext())
    head = next(box.findall(nodes.paragraph)).astext()
    assert head == " ".join(part for part in (one.title, one.kind, one.source) if part)
    items = list(box.findall(nodes.definition_list_item))
    meanings = [next(item.findall(nodes.definition)).astext() for item in items]
    assert meanings == [meaning.replace("`", "") for meaning in one.symbols.values()]
    for item, symbol in zip(items, one.symbols, strict=True):
        made = ElementTree.fromstring(convert(next(item.findall(nodes.math)).astext()))
        assert letters("".join(made.itertext())) == letters(symbol)
        if "_" in symbol:
            assert made.find(".//{*}msub") is not None, symbol


def test_keys_of_sources_lead_to_their_entries(extension):
    keys = set(re.findall(r"^`(\w+)`$", REFERENCE["sources.md"], flags=re.MULTILINE))
    for one in formulas().values():
        linked = [node["source"] for node in extension.shown(one).findall(nodes.reference)]
        assert linked == re.findall(r"\b[a-z]+\d{4}[a-z]?\b", one.source)
        assert set(linked) <= keys


def shown_by(extension, name: str, found: object) -> list[str]:
    """The docstring of an object as the page has it."""
    return extension.with_formulas((inspect.getdoc(found) or "").splitlines(), extension.formulas_about(name))


def labels(lines: list[str]) -> list[str]:
    return [line.removeprefix(".. formula:: ") for line in lines if line.startswith(".. formula:: ")]


def test_every_formula_is_on_a_page_of_the_reference(extension):
    packages = {one.computed_by.rsplit(".", 1)[0] for one in formulas().values()}
    found = {}
    for page, text in REFERENCE.items():
        found[page] = re.findall(r"^```\{formula\} (\S+)$", text, flags=re.MULTILINE)
        for name, members in re.findall(r"automodule:: (\S+)\n(   :members:)?", text):
            if not members and page == "papers.md":
                found[page] += labels(shown_by(extension, name, importlib.import_module(name)))
            elif name in packages:
                package = importlib.import_module(name)
                for one in package.__all__:
                    found[page] += labels(shown_by(extension, f"{name}.{one}", getattr(package, one)))
    assert {label for page in found.values() for label in page} == set(formulas())
    models = {label for label, one in formulas().items() if one.computed_by.startswith("foldin.models.")}
    assert set(found["models.md"]) == models
    assert models <= set(found["papers.md"])


@pytest.mark.parametrize("name", MODELS)
def test_a_configuration_shows_the_formulas_of_its_model_in_place_of_their_text(extension, name):
    config = MODELS[name]
    lines = shown_by(extension, f"foldin.models.{config.__name__}", config)
    known = formulas_of(f"foldin.models.{config.model_class.__name__}")
    assert labels(lines) == [one.label for one in known]
    text = "\n".join(lines)
    assert "where" not in lines
    assert "    * " not in text.partition("\nArgs:")[0], "symbols are in the formula's own list"
    assert all(one.plain not in text for one in known)


def test_a_block_of_formulas_alone_gives_way_and_another_block_stays(extension):
    one, other = formula("als.objective"), formula("als.fold-in")
    lines = ["ALS.", "", f"    {one.text}", f"    {other.text}", "", "Words.", "", "Args:", "    x: a user."]
    shown = [line for line in extension.with_formulas(lines, [one, other]) if line]
    assert shown == ["ALS.", ".. formula:: als.objective", ".. formula:: als.fold-in", *lines[5:6], *lines[7:]]
    lines = ["ALS.", "", f"    loss   {one.text}", f"    row    {other.text}", "", "Words."]
    shown = [line for line in extension.with_formulas(lines, [one, other]) if line]
    assert shown == [*lines[:1], *lines[2:4], ".. formula:: als.objective", ".. formula:: als.fold-in", "Words."]


def test_a_docstring_without_the_text_has_the_formula_below_its_first_paragraph(extension):
    lines = ["A sum.", "", "Args:", "    x: a number."]
    made = extension.with_formulas(lines, [formula("ease")])
    assert [line for line in made if line] == ["A sum.", ".. formula:: ease", "Args:", "    x: a number."]
    assert made[made.index(".. formula:: ease") - 1] == made[made.index(".. formula:: ease") + 1] == ""
    assert [line for line in extension.with_formulas(["A sum."], [formula("ease")]) if line][1] == ".. formula:: ease"
    assert extension.with_formulas(lines, []) == lines
