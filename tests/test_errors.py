"""Warnings of foldin: one line that names the caller's line, on the command line and elsewhere."""

import subprocess
import sys
import warnings

import pytest

import foldin
from foldin import cli
from foldin.errors import FoldinError, FoldinWarning, warn


def test_a_plain_script_shows_a_warning_with_its_own_line(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import foldin\nfrom foldin.errors import warn\n\nfor _ in range(3):\n    warn('a.csv: left out')\n"
    )
    found = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert found.stderr.splitlines()[0] == f"{script}:5: FoldinWarning: a.csv: left out"
    assert found.stderr.count("left out\n") == 1
    assert found.stdout == ""


def test_the_place_is_that_of_the_caller_below_functions_of_foldin():
    with pytest.warns(FoldinWarning, match="a: b") as told:
        eval(compile("warn('a: b')", "inside.py", "eval"), {"warn": warn, "__name__": "foldin.some.module"})
    assert told[0].filename == __file__


def test_a_warning_is_a_user_s_warning_and_no_error():
    assert issubclass(foldin.FoldinWarning, UserWarning)
    assert not issubclass(FoldinWarning, FoldinError)


def test_the_command_line_says_a_warning_in_one_line(monkeypatch, capsys):
    def command(**_: object) -> int:
        warnings.simplefilter("always")
        warn("the index is left out")
        warnings.warn("of another library", UserWarning, stacklevel=1)
        return 0

    monkeypatch.setattr(cli.cli, "main", command)
    usual = warnings.showwarning
    with pytest.warns(UserWarning, match="of another library") as told, pytest.raises(SystemExit):
        cli.main([])
    assert warnings.showwarning is usual
    assert len(told) == 1
    assert capsys.readouterr().err == "foldin: warning: the index is left out\n"
