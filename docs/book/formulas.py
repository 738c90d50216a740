"""The formulas of `foldin.formulas` in the reference: a directive that shows one, and docstrings that show those they are about.

`help` shows a formula as text. On a page its MathML stands there instead, with its title, kind, source and symbols.
"""

import functools
import html
import importlib
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from directives import MATHML
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import foldin.formulas
from foldin.formulas import Formula, formula, formulas, formulas_of
from foldin.training.described import equation_text

SOURCES = "reference/sources"
_KEY = re.compile(r"\b([a-z]+(?:19|20)\d\d[a-z]?)\b")
_ACCENTS = {"\N{COMBINING TILDE}": "tilde", "\N{COMBINING MACRON}": "bar", "\N{COMBINING CIRCUMFLEX ACCENT}": "hat"}


def symbol_latex(symbol: str) -> str:
    """A symbol of a formula in LaTeX: `q_old` has a word as its index, `n_x` a letter, `x̃` a tilde above it."""
    text = unicodedata.normalize("NFD", symbol)
    for accent, name in _ACCENTS.items():
        text = re.sub(rf"(.){accent}", rf"\\{name}{{\1}}", text)
    text = re.sub(r"[₀-₉]", lambda found: f"_{unicodedata.digit(found[0])}", text)
    text = re.sub(r"_([a-z]{3,})", r"_{\\mathrm{\1}}", text)
    text = re.sub(r"_(\w+)", r"_{\1}", text)
    text = re.sub(r"(?<![\\{_a-zA-Z])[a-zA-Z]{2,}", r"\\mathrm{\g<0>}", text)
    return re.sub(r" *\| *", r" \\mid ", text).replace("*", "^*")


def shown(one: Formula) -> nodes.container:
    """A formula as nodes: title, kind and source; the formula, which scrolls if it is wide; and a list of its symbols."""
    head = nodes.paragraph(classes=["formula-title"])
    head += [nodes.strong("", one.title), nodes.inline("", f" {one.kind}", classes=["formula-kind"])]
    if one.source:
        head += nodes.Text(" ")
        for at, part in enumerate(_KEY.split(one.source)):
            head += nodes.reference("", part, internal=True, refuri="", source=part) if at % 2 else nodes.Text(part)
    mathml = one.mathml.replace("<math ", MATHML, 1)
    body = f'<div class="equation-body" data-formula="{html.escape(one.label)}">{mathml}</div>'
    symbols = nodes.definition_list(classes=["simple", "formula-symbols"])
    for symbol, meaning in one.symbols.items():
        said = nodes.paragraph()
        for at, part in enumerate(meaning.split("`")):
            said += nodes.literal("", part) if at % 2 else nodes.Text(part)
        term = nodes.term("", "", nodes.math("", symbol_latex(symbol)))
        symbols += nodes.definition_list_item("", term, nodes.definition("", said))
    return nodes.container("", head, nodes.raw("", body, format="html"), symbols, classes=["formula"])


class FormulaDirective(SphinxDirective):
    """A formula by its label."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        if self.arguments[0] not in formulas():
            raise self.error(f"there is no formula {self.arguments[0]!r} in foldin.formulas")
        for path in Path(foldin.formulas.__file__).parent.iterdir():
            if path.suffix in (".toml", ".json"):
                self.env.note_dependency(str(path))
        return [shown(formula(self.arguments[0]))]


@functools.cache
def _module(public: str) -> str:
    """The module of a function or class, whose public name begins with the package around that module."""
    package, name = public.rsplit(".", 1)
    module: str = getattr(importlib.import_module(package), name).__module__
    return module


def formulas_about(name: str) -> list[Formula]:
    """The formulas that a function, a class or a module of this dotted name computes."""
    return formulas_of(name) or [one for one in formulas().values() if _module(one.computed_by) == name]


def _block(lines: Sequence[str], text: str) -> tuple[int, int] | None:
    """The indented block of a docstring that has a text, as its first line and the one behind it; none without the text."""
    at = next((at for at, line in enumerate(lines) if text in line and line.startswith("    ")), None)
    if at is None:
        return None
    start, stop = at, at + 1
    while start and (lines[start - 1].startswith("    ") or not lines[start - 1].strip()):
        start -= 1
    while stop < len(lines) and (lines[stop].startswith("    ") or not lines[stop].strip()):
        stop += 1
    return start, stop


def with_formulas(lines: Sequence[str], found: Sequence[Formula]) -> list[str]:
    """The lines of a docstring with the directives of its formulas.

    A formula replaces its paragraphs in the docstring of a configuration, and a block that has only formulas. Else it stands
    below the block that has its text; without one, below the formula before it or the first paragraph.
    """
    text = "\n".join(lines)
    for one in formulas().values():
        text = text.replace(equation_text(one).rstrip(), f".. formula:: {one.label}")
    made = text.split("\n")
    end = next((at for at, line in enumerate(made) if not line.strip()), len(made))
    places: dict[tuple[int, int], list[Formula]] = {}
    place = (end, end)
    for one in found:
        if f".. formula:: {one.label}" not in made:
            place = _block(made, one.text) or place
            places.setdefault(place, []).append(one)
    texts = {one.text for one in found}
    for (start, stop), here in sorted(places.items(), reverse=True):
        alone = all(line.strip() in texts for line in made[start:stop] if line.strip())
        shown_here = [line for one in here for line in (f".. formula:: {one.label}", "")]
        made[start if alone else stop : stop] = ["", *shown_here]
    return made


def _show_formulas(_app: Sphinx, _what: str, name: str, _obj: object, _options: object, lines: list[str]) -> None:
    lines[:] = with_formulas(lines, formulas_about(name))


def _mark_sources(app: Sphinx, doctree: nodes.document) -> None:
    """Give each entry of the page of sources its key as an anchor."""
    if app.env.docname == SOURCES:
        for term in doctree.findall(nodes.term):
            term["ids"].append(term.astext())


def _link_sources(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    for node in doctree.findall(nodes.reference):
        if key := node.get("source"):
            node["refuri"] = f"{app.builder.get_relative_uri(docname, SOURCES)}#{key}"


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("formula", FormulaDirective)
    # Before literal blocks are made of what is left.
    app.connect("autodoc-process-docstring", _show_formulas, priority=50)
    app.connect("doctree-read", _mark_sources)
    app.connect("doctree-resolved", _link_sources)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
