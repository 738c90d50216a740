"""The book's rules: a displayed equation is labelled, checked, and in symbols with a meaning; languages are twins."""

import ast
import pkgutil
import re
import runpy
from functools import cached_property
from pathlib import Path
from xml.etree import ElementTree

import pytest

from foldin.book import chapters, equation, equations, figures, symbols
from foldin.book.equations import KINDS
from foldin.book.exercises import EXERCISES

BOOK = Path(__file__).parents[2] / "docs" / "book"
LANGUAGES = ("en", "ko")
SYMBOLS = [one.latex for one in symbols()]
# Commands that set how something looks, functions, and relations: they are no symbols.
LOOKS = {
    *(
        "frac",
        "tfrac",
        "sum",
        "prod",
        "int",
        "log",
        "exp",
        "sqrt",
        "left",
        "right",
        "big",
        "Big",
        "bigg",
        "Bigg",
        "mid",
    ),
    *(
        "underbrace",
        "text",
        "qquad",
        "quad",
        "le",
        "ge",
        "neq",
        "in",
        "approx",
        "propto",
        "cdot",
        "odot",
        "to",
        "infty",
    ),
    *(
        "overline",
        "mathrm",
        "mathbb",
        "mathcal",
        "max",
        "min",
        "arg",
        "partial",
        "nabla",
        "top",
        "sim",
        "times",
        "ldots",
    ),
}


def page(name: str, language: str) -> str:
    return (BOOK / language / f"{name}.md").read_text(encoding="utf-8")


def skeleton(text: str) -> list[str]:
    """Levels of headings, directives with their arguments, and code, in order: what pages of all languages share."""
    found, code = [], None
    for line in text.splitlines():
        if line.startswith("```"):
            if code is not None:
                found.append("\n".join(code))
            code = [line] if code is None else None
        elif code is not None:
            code.append(line)
        elif heading := re.match(r"#+ ", line):
            found.append(heading[0])
        elif directive := re.match(r":::\{(\w+)\} ?(\S*)", line):
            found.append(f"{directive[1]} {directive[2]}")
        found += re.findall(r"\{eq\}`[^`]+`", line) if code is None else []
    return found


@pytest.mark.parametrize("name", chapters())
def test_languages_are_twins(name):
    first, *others = (skeleton(page(name, language)) for language in LANGUAGES)
    for other in others:
        assert sorted(one for one in first if "{eq}" in one) == sorted(one for one in other if "{eq}" in one)
        assert [one for one in first if "{eq}" not in one] == [one for one in other if "{eq}" not in one]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", chapters())
def test_a_page_has_a_question_all_its_equations_in_order_and_exercises(name, language):
    chapter, text = chapters()[name], page(name, language)
    assert text.startswith(f"# {chapter.number}. {chapter.title[language]}\n")
    shown = re.findall(r"^:::\{equation\} (\S+)$", text, re.M)
    assert shown == [one.label for one in chapter.equations]
    assert text.count(":::{question}") == 1
    exercises = re.findall(r"^:::\{exercise\} (\S+)$", text, re.M)
    assert exercises == [f"{name}/{at + 1}" for at in range(len(exercises))]
    assert 3 <= len(exercises) == text.count(":::{solution}") <= 6
    assert [one for one in EXERCISES if one.startswith(f"{name}/")] == [one for one in exercises if one in EXERCISES]
    assert any(one in EXERCISES for one in exercises)
    assert "$$" not in text, "a displayed equation has a label"
    assert "```python" in text


def test_a_symbol_has_one_meaning():
    assert len(SYMBOLS) == len(set(SYMBOLS)), sorted(one for one in SYMBOLS if SYMBOLS.count(one) > 1)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", chapters())
def test_the_page_names_its_sources(name, language):
    told = page(name, language).rsplit("\n## ", 1)[1]
    years = sorted(re.findall(r"(?<!\d)(?:19|20)\d\d(?!\d)", told))
    assert set(years) == {re.sub(r"\D", "", key)[:4] for key in chapters()[name].sources}
    assert len(chapters()[name].sources) == len(set(chapters()[name].sources))


# Definitions of what only derivations use.
NO_CODE = {
    "kl-decomposition/joint": "a density of pairs that is taken apart, and never computed",
    "kl-decomposition/factorized-prior": "an assumption",
    "kl-decomposition/weights": "an objective of which no model of the library has three weights",
    "maximum-likelihood/conjugate-prior": "a prior of any family; the library has those of two",
    "recommendation/ease-lagrangian": "a function whose root is known in closed form",
}


@pytest.mark.parametrize("label", equations())
def test_a_definition_names_the_code_that_implements_it(label):
    one = equation(label)
    for name in one.code:
        assert callable(found := pkgutil.resolve_name(name)) or isinstance(found, property | cached_property), name
    if one.kind == "definition":
        assert bool(one.code) != (label in NO_CODE)


@pytest.mark.parametrize("label", equations())
def test_an_equation_is_written_in_symbols_with_a_meaning(label):
    one = equation(label)
    assert one.kind in KINDS
    assert one.spoken
    assert re.search("[가-힣]", one.words("ko")), "run `python docs/write_formulas.py`"
    assert ElementTree.fromstring(one.mathml).tag == "math"
    left = one.latex
    for symbol in sorted(SYMBOLS, key=len, reverse=True):
        if len(symbol) > 1:
            left = left.replace(symbol, " ")
    left = re.sub(r"\\text\{[^}]*\}", " ", left)
    commands = set(re.findall(r"\\([a-zA-Z]+)", left)) - LOOKS
    assert not commands, f"not in notation.toml: {commands}"
    letters = set(re.findall(r"[A-Za-z]", re.sub(r"\\[a-zA-Z]+", " ", left))) - set(SYMBOLS)
    assert not letters, f"not in notation.toml: {letters}"


@pytest.mark.parametrize("name", chapters())
def test_every_equation_has_a_check_that_can_fail(name):
    path = BOOK / "checks" / f"{name.replace('-', '_')}.py"
    functions = {
        node.name: node for node in ast.parse(path.read_text("utf-8")).body if isinstance(node, ast.FunctionDef)
    }
    wanted = [f"check_{one.label.split('/')[1].replace('-', '_')}" for one in chapters()[name].equations]
    assert [one for one in functions if one.startswith("check_")] == wanted
    for one in wanted:
        assert any(isinstance(node, ast.Assert) for node in ast.walk(functions[one])), one


@pytest.fixture(scope="module")
def checks():
    kept = {}

    def of(name):
        if name not in kept:
            kept[name] = runpy.run_path(str(BOOK / "checks" / f"{name.replace('-', '_')}.py"))
        return kept[name]

    return of


@pytest.mark.parametrize("label", equations())
def test_both_sides_agree(checks, label):
    chapter, name = label.split("/")
    checks(chapter)[f"check_{name.replace('-', '_')}"]()


def test_the_glossaries_are_twins():
    entry = re.compile(r"^\* \*\*(.+?)\*\* · (.+?) — ", re.M)
    english, korean = (page("glossary", language) for language in LANGUAGES)
    assert skeleton(english) == skeleton(korean)
    assert entry.findall(english) == [(b, a) for a, b in entry.findall(korean)]
    assert english.count("\n* ") == len(entry.findall(english))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_on_notation_is_not_stale(language):
    written = runpy.run_path(str(BOOK / "write_notation.py"))["text"](language)
    assert page("notation", language) == written, "run `python docs/book/write_notation.py`"


def test_the_readme_counts_equations_and_figures():
    readme = (BOOK.parents[1] / "README.md").read_text(encoding="utf-8")
    assert f"{len(equations())} labelled\n  equations" in readme
    assert ("twenty figures to move" in readme) == (len(figures()) == 20)
