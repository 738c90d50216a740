"""Every task is done once, whoever dies: with actors in this process."""

import pytest

from foldin.cluster.messages import Refusal
from foldin.cluster.pool import each
from foldin.errors import ConfigError, DataError, RunError
from tests.cluster.standin import Standin


class Doubling:
    """Doubles numbers; refuses 13."""

    def ready(self):
        return True

    def do(self, number):
        return Refusal("DataError", "13 brings bad luck") if number == 13 else 2 * number


def done(ray, tasks, workers=3):
    return list(each(ray, ray.remote()(Doubling).remote, tasks, workers, patience=0.0))


def test_every_task_is_done_once_by_as_many_actors_as_there_is_work_for():
    ray = Standin()
    assert sorted(done(ray, range(10))) == [(n, 2 * n) for n in range(10)]
    assert len(ray.actors) == 3
    assert all(actor.dead for actor in ray.actors)  # ended with the work
    few = Standin()
    assert done(few, [5]) == [(5, 10)]
    assert len(few.actors) == 1
    assert done(few, []) == []


def test_the_task_of_a_dead_actor_is_done_by_another_one():
    ray = Standin(dies=lambda number, name, _: name == "do" and number in {0, 1})
    assert sorted(done(ray, range(8))) == [(n, 2 * n) for n in range(8)]
    assert len(ray.actors) == 5
    # Every actor dies of its third task.
    often = Standin(dies=lambda number, name, _: sum(call[:2] == (number, "do") for call in often.calls) == 3)
    assert sorted(done(often, range(12))) == [(n, 2 * n) for n in range(12)]
    assert len(often.actors) > 6


def test_one_cpu_that_is_left_is_enough():
    # Three actors were started; two die with their machine, whose CPUs nobody can have any more.
    def dies(number, name, _):
        if number == 2 and name == "do":
            ray.cpus, ray.actors[1].dead = 2, True
        return number == 2 and name == "do"

    ray = Standin(dies=dies)
    assert sorted(done(ray, range(8))) == [(n, 2 * n) for n in range(8)]


def test_a_task_that_ends_every_actor_is_named():
    ray = Standin(dies=lambda _, name, arguments: name == "do" and arguments == (4,))
    with pytest.raises(RunError, match="4: 3 workers died of it"):
        done(ray, range(8))
    assert len([call for call in ray.calls if call[2] == (4,)]) == 3
    assert all(actor.dead for actor in ray.actors)


def test_actors_that_die_before_they_can_work_are_not_started_for_ever():
    with pytest.raises(RunError, match="3 workers in a row died before they could work"):
        done(Standin(dies=lambda _, name, __: name == "ready"), range(8))


def test_a_cluster_without_a_free_cpu_is_named():
    ray = Standin(cpus=1)
    with pytest.raises(
        RunError, match="no worker could be started within 0 s: the cluster has no free CPU; it has 1 in all"
    ):
        done(ray, range(3))


def test_what_a_worker_refuses_is_raised_with_its_class():
    with pytest.raises(DataError, match=r"^13 brings bad luck$"):
        done(Standin(), [1, 13])

    class Unready(Doubling):
        def ready(self):
            return Refusal("ConfigError", "no such ranker")

    ray = Standin()
    with pytest.raises(ConfigError, match="no such ranker"):
        list(each(ray, ray.remote()(Unready).remote, [1], 1))
