"""What the library cites is in docs/references.bib, and what is there is cited."""

import re
import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]
BIBLIOGRAPHY = (ROOT / "docs" / "references.bib").read_text(encoding="utf-8")
ENTRIES = re.findall(r"^@\w+\{(\w+),\n(.*?)^\}", BIBLIOGRAPHY, flags=re.MULTILINE | re.DOTALL)
KEY = re.compile(r"\b[a-z]+(?:19|20)\d\d[a-z]?\b")
CITING = [
    *(ROOT / "src").rglob("*.py"),
    *(ROOT / "src").rglob("*.toml"),
    *(ROOT / "reproductions").glob("*.py"),
    *(ROOT / "benchmarks").glob("*.py"),
]
CITED = {key for path in CITING for key in KEY.findall(path.read_text(encoding="utf-8"))}


def test_every_key_resolves_and_none_is_idle():
    keys = [key for key, _ in ENTRIES]
    assert len(keys) == len(set(keys))
    assert set(keys) == CITED


def test_every_entry_says_who_what_when_and_where():
    for key, fields in ENTRIES:
        assert re.search(rf"year = \{{{key[-5:-1] if key[-1].isalpha() else key[-4:]}\}}", fields), key
        for name in ("author", "title"):
            assert re.search(rf"^  {name} = \{{.+\}},$", fields, flags=re.MULTILINE), key
        assert re.search(r"^  (journal|booktitle|publisher|institution) = \{.+\},$", fields, flags=re.MULTILINE), key
        surname = re.search(r"author = \{([^,]+),", fields)[1]
        assert re.sub(r"[^a-z]", "", surname.lower().replace("{\\l}", "l"))[:3] in key or key.startswith("dacrema"), key


def test_the_page_of_sources_has_every_key_of_a_docstring_and_is_not_stale():
    script = runpy.run_path(str(ROOT / "docs" / "write_sources.py"))
    page = (ROOT / "docs" / "reference" / "sources.md").read_text(encoding="utf-8")
    assert set(script["cited"]()) <= set(re.findall(r"^`(\w+)`$", page, flags=re.MULTILINE))
    assert page == script["text"](), "run `python docs/write_sources.py`"
