"""Write the pages on notation from `foldin/book/notation.toml`: python docs/book/write_notation.py"""

from itertools import groupby
from pathlib import Path

from foldin.book import symbols

FOLDER = Path(__file__).parent
BAR = r"\|"  # in a cell of a table
WORDS = {
    "en": (
        "1. Notation",
        "A symbol keeps its meaning through the whole book. Where the table gives two, the text says which.\n"
        r"$\log$ is the natural logarithm, so that information is in nats: 1 nat is $1 / \log 2 \approx 1.443$ bits.",
        "symbol",
        "meaning",
    ),
    "ko": (
        "1. 기호",
        "기호의 뜻은 책 전체에서 바뀌지 않습니다. 뜻이 두 가지인 기호는 본문에서 어느 쪽인지 밝힙니다.\n"
        r"$\log$는 자연로그이고, 그래서 정보의 단위는 nat입니다. 1 nat은 $1 / \log 2 \approx 1.443$비트입니다.",
        "기호",
        "뜻",
    ),
}


def text(language: str) -> str:
    """The page of a language: a table for each group of symbols."""
    title, first, symbol, meaning = WORDS[language]
    latex = lambda one: rf"{one}{{x}}" if one in (r"\hat", r"\tilde", r"\bar") else one
    found = f"# {title}\n\n{first}\n"
    for group, inside in groupby(symbols(), key=lambda one: one.group[language]):
        rows = "".join(f"| ${latex(one.latex)}$ | {getattr(one, language).replace('|', BAR)} |\n" for one in inside)
        found += f"\n## {group}\n\n| {symbol} | {meaning} |\n| --- | --- |\n{rows}"
    return found


if __name__ == "__main__":
    for language in WORDS:
        (FOLDER / language / "notation.md").write_text(text(language), encoding="utf-8")
