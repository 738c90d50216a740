"""How much of a cluster is used, and what is said where there is none."""

import socket
import sys

import pytest

from foldin.cluster import Cluster, connected
from foldin.cluster.connecting import everywhere
from foldin.data import Source
from foldin.errors import ConfigError, MissingExtraError, RunError
from tests.cluster.standin import Standin


def test_one_cpu_is_left_to_ray():
    assert Cluster().workers_on(4.0) == 3
    assert Cluster(cpus=3).workers_on(8.0) == 2
    assert Cluster(workers=2).workers_on(8.0) == 2
    for asked, cpus, wanted in (
        (Cluster(workers=4), 4.0, 5),
        (Cluster(), 1.0, 2),
        (Cluster(workers=2, cpus=2), 4.0, 5),
    ):
        with pytest.raises(
            ConfigError, match=f"need {wanted} CPUs, one of them for Ray itself; the cluster has {cpus:g}"
        ):
            asked.workers_on(cpus)


def test_what_makes_no_cluster_is_refused():
    for wrong in (
        {"address": ""},
        {"address": "ray://head:10001"},
        {"address": "head"},
        {"address": "head:port"},
        {"workers": 0},
        {"cpus": 0},
    ):
        with pytest.raises(ConfigError, match="was expected"):
            Cluster(**wrong)


def test_without_ray_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(MissingExtraError, match=r"a Ray cluster needs the package 'ray': pip install 'foldin\[ray\]'"),
        connected(Cluster()),
    ):
        pass


def test_a_head_that_does_not_answer_is_named(monkeypatch):
    ray = Standin()
    ray.is_initialized = lambda: False
    monkeypatch.setitem(sys.modules, "ray", ray)
    with socket.socket() as bound:  # nobody listens there
        bound.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        with (
            pytest.raises(RunError, match=f"Ray at {address}: no cluster can be reached: "),
            connected(Cluster(address=address)),
        ):
            pass


def test_a_process_that_is_connected_keeps_its_connection(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", Standin(cpus=3))  # it could neither connect nor disconnect
    with connected(Cluster(address="elsewhere:1")) as workers:
        assert workers == 2


def test_other_machines_are_given_absolute_paths_and_passwords(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "log.csv").write_text("user,item\n")
    assert everywhere(Source(path="log.csv", min_rating=4.0)) == Source(path=str(tmp_path / "log.csv"), min_rating=4.0)
    assert everywhere(Source(path="movielens-small")).path == "movielens-small"
    secret = Source(path="postgresql://me:secret@host/events")
    assert everywhere(secret) is secret
