"""The EPUB of the documentation opens: its zip, manifest, pages, links and formulas are as readers of EPUB expect them."""

import posixpath
import shutil
import sys
import warnings
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree
from zipfile import ZIP_STORED, ZipFile

import pytest
from sphinx.cmd.build import build_main

from foldin.book.equations import chapters
from foldin.formulas import formulas

DOCS = Path(__file__).parents[2] / "docs"
XHTML, MATH = "{http://www.w3.org/1999/xhtml}", "{http://www.w3.org/1998/Math/MathML}math"
OPF = "{http://www.idpf.org/2007/opf}"
TYPES = {".xhtml": "application/xhtml+xml", ".css": "text/css", ".woff2": "font/woff2", ".png": "image/png"}


@pytest.fixture
def built(tmp_path, monkeypatch, capfd):
    """A function that makes an EPUB of a folder of pages with the settings of the documentation."""
    monkeypatch.setattr(sys, "path", list(sys.path))  # to which the settings add a folder

    def make(source: Path) -> ZipFile:
        flags = ["--quiet", "--fail-on-warning", "--keep-going", "-b", "epub", "-d", str(tmp_path / "doctrees")]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Python about Sphinx; those of Sphinx fail
            status = build_main([*flags, "-c", str(DOCS), str(source), str(tmp_path / "out")])
        assert status == 0, capfd.readouterr().err
        return ZipFile(tmp_path / "out" / "foldin.epub")

    return make


def manifest(book: ZipFile) -> dict[str, ElementTree.Element]:
    """Entries of the manifest by the files that they name, which are those of the zip; the spine names entries."""
    package = ElementTree.fromstring(book.read("content.opf"))
    items = package.findall(f"{OPF}manifest/{OPF}item")
    found = {unquote(one.get("href", "")): one for one in items}
    assert len(found) == len({one.get("id") for one in items}) == len(items)
    assert set(book.namelist()) == {*found, "mimetype", "META-INF/container.xml", "content.opf"}
    spine = [one.get("idref") for one in package.findall(f"{OPF}spine/{OPF}itemref")]
    assert set(spine) <= {one.get("id") for one in items}
    assert len(spine) == len(set(spine))
    return found


def broken(name: str, page: ElementTree.Element, ids: dict[str, set[str]]) -> list[str]:
    """Links of a page that lead nowhere within the EPUB."""
    found = []
    for link in page.iter():
        for target in (link.get("href"), link.get("src")):
            parts = urlsplit(target or "")
            if target and not parts.scheme:
                file = (
                    posixpath.normpath(posixpath.join(posixpath.dirname(name), unquote(parts.path)))
                    if parts.path
                    else name
                )
                if file not in ids or (parts.fragment and unquote(parts.fragment) not in ids[file]):
                    found.append(f"{name}: {target}")
    return found


def opens(book: ZipFile) -> dict[str, ElementTree.Element]:
    """Check what every EPUB must have; the pages by their names."""
    first = book.infolist()[0]
    assert (first.filename, first.compress_type, first.extra) == ("mimetype", ZIP_STORED, b"")
    assert book.read("mimetype") == b"application/epub+zip"
    assert b'full-path="content.opf"' in book.read("META-INF/container.xml")
    entries = manifest(book)
    pages = {name: ElementTree.fromstring(book.read(name)) for name in entries if name.endswith(".xhtml")}
    ids = {name: {one.get("id", "") for one in page.iter()} for name, page in pages.items()}
    ids |= {name: set() for name in entries if name not in pages}
    for name, page in pages.items():
        kind = entries[name].get("properties")
        assert kind == ("nav" if name == "nav.xhtml" else "mathml" if page.find(f".//{MATH}") is not None else None), (
            name
        )
        assert page.find(f".//{XHTML}script") is None, name
        assert page.find(f".//{XHTML}math") is None, name
        assert broken(name, page, ids) == []
    for name, entry in entries.items():
        if (suffix := Path(name).suffix) in TYPES:
            assert entry.get("media-type") == TYPES[suffix]
    return pages


def labels(page: ElementTree.Element) -> list[str]:
    return [one.get("id", "") for one in page.iter() if "equation-row" in one.get("class", "")]


@pytest.mark.slow
def test_a_chapter_in_two_languages_opens(tmp_path, built):
    source, names = tmp_path / "pages", ("em", "notation")
    for language in ("en", "ko"):
        folder = source / "book" / language
        folder.mkdir(parents=True)
        for name in names:
            shutil.copy(DOCS / "book" / language / f"{name}.md", folder)
        assert ":::{moving}" in (folder / "em.md").read_text(encoding="utf-8")
    listed = "\n".join(f"book/{language}/{name}" for language in ("en", "ko") for name in names)
    (source / "index.md").write_text(f"# A book\n\n```{{toctree}}\n{listed}\n```\n", encoding="utf-8")
    pages = opens(built(source))
    for language, sentence in (("en", "moves in a browser"), ("ko", "브라우저에서 움직입니다")):
        page = pages[f"book/{language}/em.xhtml"]
        assert page.get("lang") == language
        assert labels(page) == [f"eq-{one.label.replace('/', '-')}" for one in chapters()["em"].equations]
        assert sentence in "".join(page.itertext())


@pytest.mark.long
def test_the_whole_documentation_opens(built):
    pages = opens(built(DOCS))
    for name, chapter in chapters().items():
        for language in ("en", "ko"):
            assert len(labels(pages[f"book/{language}/{name}.xhtml"])) == len(chapter.equations)
    shown = {one.get("data-formula") for page in pages.values() for one in page.iter() if one.find(MATH) is not None}
    assert shown >= formulas().keys()
