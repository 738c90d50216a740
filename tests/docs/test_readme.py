"""The figures of the pages are those of the kept results, and links lead somewhere."""

import ast
import importlib.util
import re
from pathlib import Path

import pytest

from foldin.models import MODELS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in (*sorted(ROOT.glob("README*.md")), *sorted((ROOT / "docs").rglob("*.md")))
}


def test_the_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"\bmake ([a-z-]+)", README):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_the_figures_are_those_of_the_results():
    spec = importlib.util.spec_from_file_location("write_readme", ROOT / "docs" / "write_readme.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = []
    for page in module.PAGES:
        text = page.read_text(encoding="utf-8")
        assert module.filled(text) == text, f"{page.name}: run `make docs`"
        found += module.sections_of(text)
    assert set(found) == set(module.SECTIONS)


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name):
    folder = (ROOT / name).parent
    for target, anchor in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", PAGES[name]):
        if target.startswith("http"):
            continue
        assert (folder / target).exists(), target
        if anchor and target:
            headings = re.findall(r"^#+ (.*)$", (folder / target).read_text(encoding="utf-8"), flags=re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}, anchor


def test_both_readmes_count_the_models():
    assert (len(MODELS), "twenty-six models" in README, "스물여섯 개 모델" in PAGES["README.ko.md"]) == (26, True, True)


@pytest.mark.parametrize("korean", ["README.ko.md", *(name for name in PAGES if name.startswith("docs/ko/"))])
def test_korean_pages_have_the_examples_of_the_english_ones(korean):
    """What runs there runs here: the same statements, but for Korean strings, and the same commands."""
    english = korean.replace(".ko.md", ".md").replace("docs/ko/", "docs/start/")
    here, there = PAGES[korean], PAGES.get(english, "")
    assert _blocks(here, "console") == _blocks(there, "console")
    known = _statements(there)
    for statement, text in _statements(here).items():
        if re.search("[가-힣]", statement):
            assert text in known.values(), statement
        else:
            assert statement in known, statement


def _blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)


def _statements(page: str) -> dict[str, str]:
    """The statements of a page's Python blocks, and each with its strings left empty."""
    found = {}
    for statement in ast.parse("\n".join(_blocks(page, "python"))).body:
        written = ast.unparse(statement)
        for node in ast.walk(statement):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                node.value = ""
        found[written] = ast.unparse(statement)
    return found


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 200
