"""Reports as data and as HTML pages: of bounds, of searches over settings, and of the choice of a model."""

from foldin.reports.choosing import (
    CHOICE_HEAD,
    FACTS_HEAD,
    choice_rows,
    choice_sentences,
    choice_title,
    facts_rows,
)
from foldin.reports.explained import Explanation
from foldin.reports.explanation import Subject, explain, explain_file, subject_of_run
from foldin.reports.page import GENERATOR, html_page
from foldin.reports.tuning import TUNING_HEAD, tuning_page, tuning_rows, tuning_sentences

__all__ = [
    "CHOICE_HEAD",
    "FACTS_HEAD",
    "GENERATOR",
    "TUNING_HEAD",
    "Explanation",
    "Subject",
    "choice_rows",
    "choice_sentences",
    "choice_title",
    "explain",
    "explain_file",
    "facts_rows",
    "html_page",
    "subject_of_run",
    "tuning_page",
    "tuning_rows",
    "tuning_sentences",
]
