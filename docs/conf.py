"""The documentation: `make docs` builds the site into build/docs and build/foldin.epub, without warnings."""

import re
import sys
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "book"))

project = "foldin"
author = "the foldin authors"
copyright = "the foldin authors, Apache-2.0"
default_role = "code"
release = version = version_of("foldin")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "directives",
    "formulas",
    "epub",
]
exclude_patterns = ["studio", "distribution"]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]
nitpicky = False

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False

html_math_renderer = "mathml"
html_theme = "furo"
html_static_path = ["book/_static"]
html_title = f"foldin {release}"
html_copy_source = False
html_show_sourcelink = False
epub_description = "The guide, the reference and the book of foldin, in English and Korean."
epub_identifier = epub_uid = "foldin"
epub_show_urls = "no"
copybutton_prompt_text = r"\$ |>>> "
copybutton_prompt_is_regexp = True

# Docstrings are written to be read as they are: formulas are indented, and a bar is a bar.
_SECTIONS = re.compile(r"(Args|Attributes|Example|Examples|Raises|Returns|Yields|Note|Source)s?:\s*$")


def _formulas_are_literal(
    _app: object, _what: str, _name: str, _obj: object, _options: object, lines: list[str]
) -> None:
    """Make literal blocks of the indented blocks that are not a section's, and escape the bars of the text between."""
    made: list[str] = []
    above, section, literal = "", False, False
    for line in lines:
        indented = line.startswith("    ")
        if line.strip():
            if not indented:
                section, literal = bool(_SECTIONS.match(line)), False
            elif not section and not literal and made and not made[-1].strip():
                literal = True
                if not above.endswith("::"):
                    made += ["::", ""]
            above = line.rstrip()
        made.append(line if literal else line.replace("|", r"\|"))
    lines[:] = made


def setup(app: Any) -> None:
    app.connect("autodoc-process-docstring", _formulas_are_literal, priority=100)
