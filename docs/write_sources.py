"""Write the page of sources from references.bib, the book's chapters and the docstrings: python docs/write_sources.py"""

import ast
import re
from pathlib import Path

from foldin.book import chapters

DOCS = Path(__file__).parent
SOURCE = DOCS.parent / "src"
ENTRY = re.compile(r"^@\w+\{(\w+),\n(.*?)^\}", flags=re.MULTILINE | re.DOTALL)
KEY = re.compile(r"\b[a-z]+(?:19|20)\d\d[a-z]?\b")
OPENING = """# Sources

Every paper and book that the library's docstrings or the [book](../book/en/notation.md) name, by its key: the chapters that use
it and the modules whose `Source:` lines name it. `docs/references.bib` has the entries for citing them.
"""


def plain(text: str) -> str:
    """A field of an entry without the braces of BibTeX."""
    return re.sub(r"[{}]", "", text).replace("--", "–")


def names(authors: str) -> str:
    """Surnames: two at most, else the first and others."""
    surnames = [plain(one.split(",")[0]) for one in authors.split(" and ")]
    return " and ".join(surnames) if len(surnames) < 3 else f"{surnames[0]} et al."


def cited() -> dict[str, list[str]]:
    """Key → the modules whose docstrings name it."""
    found: dict[str, list[str]] = {}
    for path in sorted((SOURCE / "foldin").rglob("*.py")):
        keys = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                keys |= set(KEY.findall(ast.get_docstring(node) or ""))
        module = ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
        for key in keys:
            found.setdefault(key, []).append(module)
    return found


def text() -> str:
    """The page."""
    modules, lines = cited(), [OPENING]
    for key, fields in sorted(ENTRY.findall((DOCS / "references.bib").read_text(encoding="utf-8"))):
        found = dict(re.findall(r"^  (\w+) = \{(.*)\},$", fields, flags=re.MULTILINE))
        where = next(found[one] for one in ("journal", "booktitle", "publisher", "institution") if one in found)
        places = [f"[{one.number}](../book/en/{one.name}.md)" for one in chapters().values() if key in one.sources]
        book = f" Chapter{'s' * (len(places) > 1)} {', '.join(places)}." if places else ""
        code = f" {', '.join(f'`{one}`' for one in modules[key])}." if key in modules else ""
        title = plain(found["title"]).rstrip(".")
        lines.append(f"`{key}`\n: {names(found['author'])} ({found['year']}). *{title}*. {plain(where)}.{book}{code}\n")
    return "\n".join(lines)


if __name__ == "__main__":
    (DOCS / "reference" / "sources.md").write_text(text(), encoding="utf-8")
