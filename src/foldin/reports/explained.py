"""A report as an object that can be displayed in terminals and notebooks."""

import html
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foldin.display import Display, Displayed
from foldin.files import write_text
from foldin.reports.experts import EXPERTS_HEAD, expert_rows, experts_heading
from foldin.reports.page import html_page
from foldin.reports.wording import (
    TERMS_HEAD,
    bound_heading,
    bound_rows,
    health_line,
    prediction_line,
    term_heading,
    term_rows,
)

__all__ = ["Explanation"]


@dataclass(frozen=True, eq=False, repr=False)
class Explanation(Displayed):
    """The report of a trained model.

    Args:
        content: the report as data; see `explain`.
    """

    content: dict[str, Any]

    def display(self) -> Display:
        content = self.content
        title = f"{content['model']} on {content['data']}: {prediction_line(content)}"
        if "bounds" in content:
            bounds = content["bounds"]
            head = ("nats", f"per {bounds['called']['row']}", f"per {bounds['called']['unit']}")
            rows = bound_rows(bounds)
            return Display(title=title, head=head, rows=rows, notes=[bound_heading(bounds), health_line(bounds)])
        if "bound" in content:
            rows = term_rows(content["bound"])
            return Display(title=title, head=TERMS_HEAD, rows=rows, notes=[term_heading(content["bound"])])
        if "experts" in content:
            notes = [experts_heading(content["experts"])]
            return Display(title=title, head=EXPERTS_HEAD, rows=expert_rows(content["experts"]), notes=notes)
        return Display(title=title)

    def html(self) -> str:
        """The page of `foldin explain`, with its curves."""
        return html_page(self.content)

    def save(self, path: str | Path) -> None:
        """Write the page to a file."""
        write_text(Path(path), self.html())

    def _repr_html_(self) -> str:
        # In a separate frame, so that the style of the page does not affect the notebook.
        return f'<iframe srcdoc="{html.escape(self.html())}" style="width:100%;height:40em;border:0"></iframe>'
