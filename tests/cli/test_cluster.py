"""The options of a Ray cluster, without one."""

import sys

import pytest

from tests.cli.calling import call


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("fit", "--ray", "local", "--all"), "--ray does not go with --all: it is trained by one process"),
        (("fit", "--worker-cpus", 2), "--worker-cpus 2 needs --ray ADDRESS"),
        (("tune", "--worker-cpus", 1), "--worker-cpus 1 needs --ray ADDRESS"),
        (("recommend", "--worker-cpus", 2), "--worker-cpus 2 needs --ray ADDRESS"),
        (("fit", "--ray", "ray://head:1"), "Ray's address 'ray://head:1': local, auto or HOST:PORT was expected"),
        (
            ("fit", "--ray", "local", "--device", "cuda:0"),
            "the workers of --ray compute on CPUs; for GPUs, use torchrun",
        ),
        (("tune", "--workers", 2), "--workers 2 needs --ray ADDRESS"),
        (("recommend", "--workers", 2), "--workers 2 needs --ray ADDRESS"),
        (("recommend", "--ray", "local"), "--ray needs --users FOLDER and --out FOLDER"),
        (("recommend", "--ray", "local", "--history", "i01"), "--ray cannot be combined with --history or --likes"),
        (
            ("recommend", "--ray", "local", "--users", "none", "--out", "lists"),
            "none: a folder of files of events was expected",
        ),
    ],
)
def test_options_that_do_not_go_together_are_refused(arguments, said, path, run, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command, *options = arguments
    what = [run] if command == "recommend" else [path, "--model", "ease", "--out", tmp_path / "out"]
    code, _, err = call(capsys, command, *what, *options)
    assert code == 2
    assert said in err
    assert not (tmp_path / "out").exists()


def test_the_first_option_of_torchrun_and_ray_is_refused(path, capsys, tmp_path, monkeypatch):
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost"}.items():
        monkeypatch.setenv(name, value)
    code, _, err = call(capsys, "fit", path, "--model", "ease", "--out", tmp_path / "run", "--ray", "local")
    assert code == 2
    assert "--ray starts its own workers and does not go with torchrun" in err


def test_without_ray_every_command_says_what_to_install(path, run, capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    (tmp_path / "users").mkdir()
    (tmp_path / "users" / "a.csv").write_text("user,item\nu1,i01\n")
    for command in (
        ("fit", path, "--model", "ease", "--out", tmp_path / "run"),
        ("tune", path, "--model", "ease", "--out", tmp_path / "study"),
        ("recommend", run, "--users", tmp_path / "users", "--out", tmp_path / "lists"),
    ):
        code, _, err = call(capsys, *command, "--ray", "local")
        assert code == 2
        assert "a Ray cluster needs the package 'ray': pip install 'foldin[ray]'" in err
