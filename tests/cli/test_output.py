"""What commands print where there is no terminal: nothing is broken over lines."""

from foldin.cli.output import line_width, out, table


def test_titles_and_cells_are_whole_in_a_pipe(capsys):
    title, cell = f"/{'long folder/' * 40}events.csv → sqlite:///shop.db", " ".join(["reason"] * 60)
    out().print(table(title, ("", ""), [("rows", "1"), ("refused", cell)], left=2))
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == title
    assert lines[-1].endswith(cell)
    assert line_width(out()) == 160
