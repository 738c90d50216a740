"""The labelled equations of the book: their only origin are the files in `chapters/`, for pages of every language."""

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from foldin.formulas import formula
from foldin.formulas.mathml import korean_of, mathml_of

__all__ = ["KINDS", "Chapter", "Equation", "Symbol", "chapters", "equation", "equations", "symbols"]

KINDS = ("definition", "identity", "bound")


@dataclass(frozen=True, kw_only=True)
class Equation:
    """A displayed equation.

    Args:
        label: unique name, `chapter/name`.
        kind: `definition` (what a symbol means), `identity` (two ways to one value) or `bound` (≤ or ≥).
        latex: in LaTeX.
        spoken: in words, for screen readers and terminals.
        formula: label in `foldin.formulas` if the equation is one of those; then its LaTeX is there.
        code: dotted names of the functions and methods of the library that compute it.
    """

    label: str
    kind: str
    latex: str
    spoken: str
    formula: str = ""
    code: tuple[str, ...] = ()

    @property
    def public_code(self) -> tuple[str, ...]:
        """The names in `code` up to what can be imported: a private function stands for its class or module."""
        return tuple(dict.fromkeys(one.split("._")[0] for one in self.code))

    @property
    def mathml(self) -> str:
        """As MathML, which browsers show without a script."""
        return mathml_of("foldin.book")[self.label]

    def words(self, language: str) -> str:
        """The equation in words of a language: in English as `spoken`, in Korean as the Speech Rule Engine reads it."""
        return korean_of("foldin.book")[self.label] if language == "ko" else self.spoken


@dataclass(frozen=True, kw_only=True)
class Symbol:
    """A symbol with its one meaning.

    Args:
        latex: as the equations write it, without indices that only count.
        en, ko: the meaning.
        group: title of the group of symbols that it belongs to, by language.
    """

    latex: str
    en: str
    ko: str
    group: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Chapter:
    """A chapter of the book.

    Args:
        name: of its page, and of its file of equations and of checks.
        number: in the order of reading.
        title: by language.
        equations: in the order of the page.
        symbols: symbols that no other chapter has.
        sources: keys in `docs/references.bib`.
    """

    name: str
    number: int
    title: Mapping[str, str]
    equations: tuple[Equation, ...]
    symbols: tuple[Symbol, ...] = ()
    sources: tuple[str, ...] = ()


@functools.cache
def chapters() -> Mapping[str, Chapter]:
    """Every chapter by its name, in the order of reading."""
    found = []
    for file in resources.files(__package__).joinpath("chapters").iterdir():
        if file.name.endswith(".toml"):
            content = tomllib.loads(file.read_text(encoding="utf-8"))
            made = []
            for entry in content["equation"]:
                latex = formula(entry["formula"]).latex if "formula" in entry else entry["latex"]
                made.append(Equation(**{**entry, "latex": latex, "code": tuple(entry.get("code", ()))}))
            name = file.name.removesuffix(".toml")
            number, title = content["number"], content["title"]
            group = {"en": f"Chapter {number}: {title['en']}", "ko": f"{number}장: {title['ko']}"}
            symbols = tuple(Symbol(**one, group=group) for one in content.get("symbol", ()))
            numbered = {"number": number, "title": title, "sources": tuple(content["sources"])}
            found.append(Chapter(name=name, equations=tuple(made), symbols=symbols, **numbered))
    return {one.name: one for one in sorted(found, key=lambda one: one.number)}


@functools.cache
def symbols() -> tuple[Symbol, ...]:
    """Every symbol: those of the whole book, then those of each chapter."""
    text = resources.files(__package__).joinpath("notation.toml").read_text(encoding="utf-8")
    shared = [
        Symbol(**one, group={"en": group["en"], "ko": group["ko"]})
        for group in tomllib.loads(text)["group"]
        for one in group["symbol"]
    ]
    return (*shared, *(one for chapter in chapters().values() for one in chapter.symbols))


@functools.cache
def equations() -> Mapping[str, Equation]:
    """Every equation by its label."""
    found: dict[str, Equation] = {}
    for chapter in chapters().values():
        for one in chapter.equations:
            if one.label in found:
                raise ValueError(f"{chapter.name}: the label {one.label!r} is there twice")
            found[one.label] = one
    return found


def equation(label: str) -> Equation:
    """The equation of a label.

    Raises:
        KeyError: there is none.
    """
    return equations()[label]
