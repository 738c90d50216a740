"""Bound reports of runs and of generative models, as data and as an HTML page."""

from foldin.reports.explanation import explain, explain_file
from foldin.reports.page import GENERATOR, html_page

__all__ = ["GENERATOR", "explain", "explain_file", "html_page"]
