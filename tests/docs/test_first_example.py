"""The first example of the README: from a DataFrame of pandas to a printed list with titles, in at most five statements."""

import ast
import re
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[2]


def first_example(page: str = "README.md") -> str:
    """The first Python block of a page."""
    return re.search(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)[1]


def test_it_begins_with_a_dataframe_and_prints_a_list_with_titles(capsys):
    statements = [one for one in ast.parse(first_example()).body if not isinstance(one, ast.Import | ast.ImportFrom)]
    assert len(statements) <= 5
    names = {}
    exec(first_example(), names)
    assert isinstance(names[statements[0].targets[0].id], pd.DataFrame)
    printed = capsys.readouterr().out.splitlines()
    heads = [at for at, line in enumerate(printed) if line.split() == ["user", "rank", "item", "title", "score"]]
    assert heads, printed
    assert len(printed) == heads[-1] + 6
    titles = dict(names["ratings"][["movieId", "title"]].itertuples(index=False))
    for rank, line in enumerate(printed[heads[-1] + 1 :], start=1):
        _, user, at, item, *title, score = line.split()
        assert (user, int(at)) == ("anna", rank)
        assert " ".join(title) == titles[int(item)]
        assert 0 < float(score) < 1
