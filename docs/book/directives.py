"""Directives of the book: labelled equations as MathML, numbered steps with their reasons, checks, exercises."""

import ast
import html
import re
import shutil
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from latex2mathml.converter import convert
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective, SphinxRole

from foldin.book import EXERCISES, FIGURES, chapters, equation, figures

CHECKS = Path(__file__).parent / "checks"
MATHML = '<math xmlns="http://www.w3.org/1998/Math/MathML" '
WORDS = {
    "en": {
        "question": "The question",
        "check": "The check that both sides agree",
        "shared": "What all checks of this page share",
        "solution": "Solution",
        "exercise": "Exercise",
        "definition": "definition",
        "identity": "identity",
        "bound": "bound",
        "code": "In the library",
        "moving": "This figure moves in a browser: start the site with `foldin docs`.",
    },
    "ko": {
        "question": "질문",
        "check": "두 변이 같은지 확인하는 코드",
        "shared": "이 페이지의 확인 코드가 함께 쓰는 것",
        "solution": "풀이",
        "exercise": "연습 문제",
        "definition": "정의",
        "identity": "항등식",
        "bound": "부등식",
        "code": "라이브러리의 코드",
        "moving": "이 그림은 브라우저에서 움직입니다. `foldin docs`로 사이트를 여세요.",
    },
}


def _language(document: str) -> str:
    return "ko" if "/ko/" in f"/{document}" else "en"


def _number(label: str) -> str:
    """The number of an equation: that of its chapter, and its place there."""
    chapter = chapters()[label.split("/", maxsplit=1)[0]]
    place = 1 + [one.label for one in chapter.equations].index(label)
    return f"{chapter.number}.{place}"


def _raw(text: str) -> nodes.raw:
    return nodes.raw("", text, format="html")


def _functions(chapter: str) -> tuple[str, dict[str, str]]:
    """(what the checks of a chapter share, source of each check by its name)."""
    text = (CHECKS / f"{chapter.replace('-', '_')}.py").read_text(encoding="utf-8")
    checks = {
        node.name: ast.get_source_segment(text, node) or ""
        for node in ast.parse(text).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("check_")
    }
    shared = text
    for source in checks.values():
        shared = shared.replace(source, "")
    return re.sub(r"\n{4,}", "\n\n\n", shared).strip(), checks


def check_code(label: str) -> str:
    """The source of the function that checks an equation."""
    chapter, name = label.split("/")
    return _functions(chapter)[1][f"check_{name.replace('-', '_')}"]


class _Labelled(SphinxDirective):
    required_arguments = 1
    has_content = True

    @property
    def words(self) -> dict[str, str]:
        return WORDS[_language(self.env.docname)]

    def parsed(self) -> list[nodes.Node]:
        return self.parse_content_to_nodes()


class EquationDirective(_Labelled):
    """A labelled equation; with content, a step of a derivation whose reason that is."""

    def run(self) -> list[nodes.Node]:
        one = equation(self.arguments[0])
        number, kind = _number(one.label), self.words[one.kind]
        box = nodes.container(classes=["equation", *(["step"] if self.content else [])])
        anchor = html.escape(one.label.replace("/", "-"))
        words = html.escape(one.words(_language(self.env.docname)))
        box += _raw(
            f'<div class="equation-row" id="eq-{anchor}"><span class="equation-number" title="{html.escape(kind)}">'
            f'({number})</span><div class="equation-body" role="math" aria-label="{words}">'
            f"{one.mathml.replace('<math ', MATHML, 1)}</div></div>"
        )
        if self.content:
            reason = nodes.container(classes=["reason"])
            reason += self.parsed()
            box += reason
        folds = [self.folded(self.words["check"], check_code(one.label), one.public_code)]
        chapter = chapters()[one.label.split("/")[0]]
        if one.label == chapter.equations[0].label:
            folds.append(self.folded(self.words["shared"], _functions(chapter.name)[0]))
        return [box, *folds]

    def folded(self, title: str, code: str, names: tuple[str, ...] = ()) -> nodes.Node:
        """Code that is shown when its title is opened, below the names of the library's functions that it is about."""
        fold = nodes.container(classes=["check"])
        fold += _raw(f"<details><summary>{html.escape(title)}</summary>")
        if names:
            line = nodes.paragraph("", f"{self.words['code']}: ")
            for at, name in enumerate(names):
                line += [nodes.Text(", ")] * bool(at)
                line += nodes.literal("", name)
            fold += line
        fold += nodes.literal_block(code, code, language="python")
        fold += _raw("</details>")
        return fold


class QuestionDirective(_Labelled):
    """The question with which a chapter opens."""

    required_arguments = 0

    def run(self) -> list[nodes.Node]:
        box = nodes.admonition(classes=["question"])
        box += nodes.title("", self.words["question"])
        box += self.parsed()
        return [box]


class ExerciseDirective(_Labelled):
    """An exercise by its id, with the line that checks an answer if it is numerical."""

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        box = nodes.admonition(classes=["exercise"], ids=[f"exercise-{name.replace('/', '-')}"])
        box += nodes.title("", f"{self.words['exercise']} {name.split('/')[1]}")
        box += self.parsed()
        if name in EXERCISES:
            line = f'foldin.book.check("{name}", answer)'
            box += nodes.literal_block(line, line, language="python")
        return [box]


class SolutionDirective(_Labelled):
    """A folded solution."""

    required_arguments = 0

    def run(self) -> list[nodes.Node]:
        box = nodes.container(classes=["solution"])
        box += _raw(f"<details><summary>{html.escape(self.words['solution'])}</summary>")
        box += self.parsed()
        box += _raw("</details>")
        return [box]


class MovingDirective(_Labelled):
    """A figure to move, by the name of its module; the content is its caption. In an EPUB a sentence stands in its place."""

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        if name not in figures():
            raise self.error(f"there is no figure {name!r}: {', '.join(figures())}")
        up = "../" * self.env.docname.count("/")
        box = nodes.container(classes=["moving-box"], ids=[f"figure-{name}"])
        moving, still = addnodes.only(expr="not epub"), addnodes.only(expr="epub")
        moving += _raw(
            f'<link rel="stylesheet" href="{up}_static/figures/figures.css">'
            f'<div data-figure="{name}"><div class="moving-place"><p>{html.escape(self.words["moving"])}</p></div></div>'
            f'<script type="module" src="{up}_static/figures/book.js"></script>'
        )
        still += nodes.paragraph("", self.words["moving"].replace("`", ""), classes=["moving-place"])
        box += [moving, still]
        if self.content:
            caption = nodes.container(classes=["moving-caption"])
            caption += self.parsed()
            box += caption
        return [box]


def _copy_figures(app: Sphinx, error: Exception | None) -> None:
    if error is None and app.builder.name == "html":
        shutil.copytree(FIGURES, Path(app.outdir) / "_static" / "figures", dirs_exist_ok=True)


def _math(self: Any, node: nodes.Element) -> None:
    """Formulas in the text, as MathML."""
    display = "inline" if isinstance(node, nodes.math) else "block"
    made = convert(node.astext(), display=display)
    # The converter leaves out the space behind the name of a function.
    self.body.append(re.sub(r"(<mi>(?:log|exp|max|min)</mi>)(?!<mo stretchy)", r'\1<mspace width="0.17em"/>', made))
    raise nodes.SkipNode


class EquationRole(SphinxRole):
    """A reference to an equation, as its number."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        equation(self.text)
        return [nodes.reference("", f"({_number(self.text)})", internal=True, refuri="", equation=self.text)], []


def _link_equations(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Point the references to equations at their pages, which end in .html or, in an EPUB, in .xhtml."""
    for node in doctree.findall(nodes.reference):
        if label := node.get("equation"):
            page = f"{docname.rpartition('/')[0]}/{label.split('/')[0]}".lstrip("/")
            node["refuri"] = f"{app.builder.get_relative_uri(docname, page)}#eq-{label.replace('/', '-')}"


def _keep_particles(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Hold each Korean particle on the line of its formula, after which browsers would break, unless the formula is long."""
    for formula in list(doctree.findall(nodes.math)):
        parent, place = formula.parent, formula.parent.index(formula)
        text = parent[place + 1] if place + 1 < len(parent) else None
        short = len(formula.astext()) < 40
        if short and isinstance(text, nodes.Text) and (particle := re.match(r"[가-힣]\S*", text.astext())):
            together = nodes.inline("", "", formula, nodes.Text(particle[0]), classes=["together"])
            parent[place : place + 2] = [together, nodes.Text(text.astext()[particle.end() :])]


def _set_language(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Name the language of a page, by which browsers choose fonts, line breaks and voices."""
    language = context["language"] = _language(page)
    if "html_tag" in context:  # of an EPUB
        context["html_tag"] = context["html_tag"].replace("<html ", f'<html lang="{language}" xml:lang="{language}" ')


def setup(app: Sphinx) -> dict[str, Any]:
    found: dict[str, type[Directive]] = {
        "equation": EquationDirective,
        "question": QuestionDirective,
        "exercise": ExerciseDirective,
        "solution": SolutionDirective,
        "moving": MovingDirective,
    }
    for name, kind in found.items():
        app.add_directive(name, kind)
    app.add_role("eq", EquationRole(), override=True)
    app.add_css_file("temml/temml.css")
    app.add_css_file("book.css")
    app.connect("doctree-resolved", _link_equations)
    app.connect("doctree-resolved", _keep_particles)
    app.connect("html-page-context", _set_language)
    app.connect("build-finished", _copy_figures)
    app.add_html_math_renderer("mathml", (_math, None), (_math, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
