"""The EPUB of the documentation: Sphinx's, with a manifest that names the pages with formulas and has the fonts of formulas."""

import re
from typing import Any, ClassVar

from sphinx.application import Sphinx
from sphinx.builders.epub3 import Epub3Builder

_PAGE = re.compile(r'(href="([^"]+\.xhtml)" media-type="application/xhtml\+xml") />')


class FoldinEpubBuilder(Epub3Builder):
    """Builds one file for e-readers."""

    media_types: ClassVar[dict[str, str]] = {**Epub3Builder.media_types, ".woff2": "font/woff2", ".txt": "text/plain"}

    def build_content(self) -> None:
        """Write the manifest: what a page contains besides XHTML is a property of its entry."""
        super().build_content()
        path = self.outdir / "content.opf"

        def declared(found: re.Match[str]) -> str:
            formulas = "<math " in (self.outdir / found[2]).read_text(encoding="utf-8")
            return found[1] + (' properties="mathml" />' if formulas else " />")

        path.write_text(_PAGE.sub(declared, path.read_text(encoding="utf-8")), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_builder(FoldinEpubBuilder, override=True)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
