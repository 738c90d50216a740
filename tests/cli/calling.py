"""The program in a line, for tests."""

import pytest

from foldin.cli import main

QUICK = ["--set", "latent_dim=8", "--set", "hidden_dims=", "--epochs", "3", "--device", "cpu"]


def call(capsys, *arguments) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    found = capsys.readouterr()
    return int(stop.value.code or 0), found.out, found.err
