"""Bound reports of runs and of generative models, as data and as an HTML page."""

from foldin.reports.explained import Explanation
from foldin.reports.explanation import Subject, explain, explain_file, subject_of_run
from foldin.reports.page import GENERATOR, html_page

__all__ = ["GENERATOR", "Explanation", "Subject", "explain", "explain_file", "html_page", "subject_of_run"]
