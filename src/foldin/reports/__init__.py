"""Reports as data and as HTML pages: of bounds, and of searches over settings."""

from foldin.reports.explained import Explanation
from foldin.reports.explanation import Subject, explain, explain_file, subject_of_run
from foldin.reports.page import GENERATOR, html_page
from foldin.reports.tuning import TUNING_HEAD, tuning_page, tuning_rows, tuning_sentences

__all__ = [
    "GENERATOR",
    "TUNING_HEAD",
    "Explanation",
    "Subject",
    "explain",
    "explain_file",
    "html_page",
    "subject_of_run",
    "tuning_page",
    "tuning_rows",
    "tuning_sentences",
]
