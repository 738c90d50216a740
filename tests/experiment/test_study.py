"""Trials on disk: nothing is lost when a process is killed, and processes take nothing from each other."""

import time
from pathlib import Path

import pytest

from foldin.experiment.study import Study
from foldin.experiment.trials import TuningTrial
from foldin.training import Range


def about(**more):
    return {"model": "made up", **more}


def test_what_a_killed_process_was_measuring_is_measured_again(tmp_path):
    space, start = {"x": Range(0.0, 1.0)}, {"x": 0.5}
    first = Study(tmp_path, about(), seed=0)
    trial, settings = first.ask(space, start, 5)
    first.end(trial, TuningTrial(number=0, settings=settings, state="complete", value=0.1, epochs=3, seconds=1.0))
    lost, drawn = first.ask(space, start, 5)
    assert first.ask(space, start, 2) is None  # one is finished, one is running
    # As the kernel leaves it when it kills the process: the lock is gone, the trial is still running, a line is half written.
    first._folder._held.release()
    with (tmp_path / "journal.log").open("a") as file:
        file.write('{"op_code": 6, "wor')
    second = Study(tmp_path, about(), seed=0)
    waiting, other = second.ask(space, start, 5)
    trial, settings = second.ask(space, start, 5)
    assert settings == drawn != other
    assert trial.number > waiting.number > lost.number
    second.give_back(waiting)
    second.end(
        trial, TuningTrial(number=trial.number, settings=settings, state="complete", value=0.2, epochs=3, seconds=1.0)
    )
    assert [one.value for one in second.trials()] == [0.1, 0.2]
    assert not second.others()
    second.close()


def test_processes_share_a_study_and_take_nothing_from_each_other(tmp_path):
    space, start = {"x": Range(0.0, 1.0)}, {"x": 0.5}
    first, second = Study(tmp_path, about(), seed=0), Study(tmp_path, about(), seed=0)
    one, two, three = first.ask(space, start, 3), second.ask(space, start, 3), second.ask(space, start, 3)
    assert first.ask(space, start, 3) is None
    assert one[1] == {}
    assert two[1] != three[1]
    assert first.others()
    assert second.others()
    second.give_back(three[0])  # interrupted
    assert first.ask(space, start, 3)[1] == three[1]
    for study, trial in ((second, two[0]),):
        study.end(trial, TuningTrial(number=trial.number, state="pruned", value=0.2))
    second.close()
    assert not first.others()
    first.close()
    assert not list((tmp_path / "workers").iterdir())


def test_a_killed_trial_counts_until_its_last_epoch(tmp_path, monkeypatch):
    space, start = {"x": Range(0.0, 1.0)}, {"x": 0.5}
    first, now = Study(tmp_path, about(), seed=0), time.time()
    trial, _ = first.ask(space, start, 3)
    for epoch, at in enumerate((now + 40.0, now + 70.0), 1):
        monkeypatch.setattr(time, "time", lambda at=at: at)
        first.should_prune(trial, epoch, 0.1)
    first._folder._held.release()  # as after a kill
    monkeypatch.setattr(time, "time", lambda: now + 10_000.0)
    second = Study(tmp_path, about(), seed=0)
    assert second.spent() == pytest.approx(70.0, abs=1.0)
    again, _ = second.ask(space, start, 3)
    second.end(again, complete(again, {}, seconds=5.0))
    assert second.spent() == pytest.approx(75.0, abs=1.0)  # both have taken their time
    second.close()


def complete(trial, settings, value=0.1, **more):
    about = {"number": trial.number + 1, "settings": settings, "state": "complete", "value": value, "seconds": 1.0}
    return TuningTrial(**{**about, **more})


def test_a_folder_may_be_relative_and_a_lock_ends_with_its_process(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study").mkdir()
    first = Study(Path("study"), about(), seed=0)
    first.close()
    assert (tmp_path / "study" / "journal.log.lock").exists()  # as after a kill; it is held by nobody
    second = Study(Path("study"), about(), seed=0)
    trial, settings = second.ask({"x": Range(0.0, 1.0)}, {"x": 0.5}, 3)
    second.end(trial, complete(trial, settings))
    second.close()


def test_killed_between_a_result_and_its_end_a_trial_counts_once(tmp_path, monkeypatch):
    space, start = {"x": Range(0.0, 1.0)}, {"x": 0.5}
    first = Study(tmp_path, about(), seed=0)
    trial, settings = first.ask(space, start, 3)
    monkeypatch.setattr(first, "_told", lambda *_: None)
    first.end(trial, complete(trial, settings))
    first._folder._held.release()
    second = Study(tmp_path, about(), seed=0)
    assert [one.value for one in second.trials()] == [0.1]
    assert second.ask(space, start, 3)[0].number == 1  # the next, not the same again
    second.close()


def test_what_a_dead_process_measured_is_taken_over_by_one_that_works(tmp_path):
    space, start = {"x": Range(0.0, 1.0)}, {"x": 0.5}
    first, second = Study(tmp_path, about(), seed=0), Study(tmp_path, about(), seed=0)
    one = second.ask(space, start, 2)
    second.end(one[0], complete(*one))
    lost = first.ask(space, start, 2)
    assert second.ask(space, start, 2) is None
    first._folder._held.release()
    assert lost[1] in [second.ask(space, start, 3)[1] for _ in range(2)]
    second.close()


def test_of_several_processes_one_is_the_last(tmp_path):
    first, second = Study(tmp_path, about(), seed=0), Study(tmp_path, about(), seed=0)
    with first.last() as mine, second.last() as yours:
        assert mine
        assert not yours
    running = first.ask({"x": Range(0.0, 1.0)}, {"x": 0.5}, 2)
    with second.last() as yours:
        assert not yours  # the other measures
    assert second.spent() > 0.0
    first.give_back(running[0], 7.0)
    assert second.spent() == 7.0
    first.close()
    second.close()


def test_the_first_trial_is_never_pruned():
    study = Study(None, about(), seed=0)
    space, start = {"x": Range(0.0, 1.0)}, {"x": 0.5}
    first, _ = study.ask(space, start, None)
    for _ in range(8):
        trial, settings = study.ask(space, start, None)
        for epoch in range(1, 9):
            study.should_prune(trial, epoch, 1.0)
        study.end(trial, complete(trial, settings, 1.0))
    assert not study.should_prune(first, 8, 0.0)
    trial, _ = study.ask(space, start, None)
    assert study.should_prune(trial, 8, 0.0)


@pytest.mark.parametrize("warm_up", [3, 8])
def test_no_trial_is_pruned_before_the_warm_up(warm_up):
    space = {"rate": Range(0.0, 1.0)}
    study = Study(None, {}, seed=0, warm_up=warm_up)
    for number in range(7):
        trial, settings = study.ask(space, {"rate": 0.5}, None)
        worst = number == 6
        pruned = [study.should_prune(trial, epoch, 0.0 if worst else 1.0) for epoch in range(1, 11)]
        study.end(trial, TuningTrial(number=number + 1, settings=settings, state="complete", value=1.0))
        if not worst:
            assert not any(pruned)
    assert pruned == [epoch >= warm_up for epoch in range(1, 11)]
