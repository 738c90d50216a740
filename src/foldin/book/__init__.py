"""The book's equations and exercises: what the pages show, what the checks run, and answers to compare one's own with.

>>> import foldin.book
>>> foldin.book.check("kl-decomposition/1", 0.69)
right: 0.6931 nats (yours differs by 0.0031, and 0.01 is allowed)
"""

from foldin.book.equations import Chapter, Equation, Symbol, chapters, equation, equations, symbols
from foldin.book.exercise import Exercise
from foldin.book.exercises import EXERCISES, Verdict, check
from foldin.book.figures import FIGURES, figures

__all__ = [
    "EXERCISES",
    "FIGURES",
    "Chapter",
    "Equation",
    "Exercise",
    "Symbol",
    "Verdict",
    "chapters",
    "check",
    "equation",
    "equations",
    "figures",
    "symbols",
]
