"""Every example in the README and the guide runs, and the figures of the pages are those of the kept results."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from foldin.cli import main

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {
    path.name: path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}


def blocks(name: str, kind: str) -> list[str]:
    """The examples of a kind on a page."""
    return re.findall(rf"```{kind}\n(.*?)```", PAGES[name], flags=re.DOTALL)


def test_the_command_line_examples_run(tmp_path, monkeypatch, capsys):
    """In the order of the pages; what stands on both runs once."""
    monkeypatch.chdir(tmp_path)
    pages = [
        [line[2:] for text in blocks(name, "console") for line in text.splitlines() if line.startswith("$ ")]
        for name in ("README.md", "guide.md")
    ]
    assert min(map(len, pages)) >= 6
    for command in dict.fromkeys(pages[0] + pages[1]):
        program, *arguments = shlex.split(command)
        assert program == "foldin"
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert not stop.value.code, (command, capsys.readouterr().err)


def test_the_python_examples_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    examples = [text for name in ("README.md", "guide.md") for text in blocks(name, "python")]
    assert examples
    for text in examples:
        exec(compile(text, "README.md", "exec"), {})
    assert "mean" in capsys.readouterr().out


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
    assert sorted(found) == sorted(module.SECTIONS)


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name):
    folder = ROOT if name == "README.md" else ROOT / "docs"
    for target, anchor in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", PAGES[name]):
        if target.startswith("http"):
            continue
        assert (folder / target).exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", (folder / target).read_text(encoding="utf-8"), flags=re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}, anchor


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 200
