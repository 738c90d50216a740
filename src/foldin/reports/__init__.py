"""Reports: where the nats of a run went, as data and as a page."""

from foldin.reports.explanation import explain, explain_file
from foldin.reports.page import GENERATOR, html_page

__all__ = ["GENERATOR", "explain", "explain_file", "html_page"]
