"""Write the pages on notation from `foldin/book/notation.toml`: python docs/book/write_notation.py"""

from pathlib import Path

from foldin.book import symbols

FOLDER = Path(__file__).parent
BAR = r"\|"  # in a cell of a table
WORDS = {
    "en": (
        "1. Notation",
        "Every symbol has one meaning in the whole book.",
        "symbol",
        "meaning",
    ),
    "ko": ("1. 기호", "기호 하나는 책 전체에서 한 가지 뜻만 가집니다.", "기호", "뜻"),
}


def text(language: str) -> str:
    """The page of a language."""
    title, first, symbol, meaning = WORDS[language]
    latex = lambda one: rf"{one}{{x}}" if one in (r"\hat", r"\tilde", r"\bar") else one
    rows = "".join(f"| ${latex(one.latex)}$ | {getattr(one, language).replace('|', BAR)} |\n" for one in symbols())
    return f"# {title}\n\n{first}\n\n| {symbol} | {meaning} |\n| --- | --- |\n{rows}"


if __name__ == "__main__":
    for language in WORDS:
        (FOLDER / language / "notation.md").write_text(text(language), encoding="utf-8")
