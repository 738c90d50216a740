"""What a search tries next: its opening, and neighbors of the best trial."""

import numpy as np

from foldin.experiment.study import Study
from foldin.experiment.trials import TuningTrial
from foldin.training import Range


def test_the_defaults_come_first_and_then_each_other_alternative_beside_them():
    space = {"rate": Range(1e-4, 1e-2, log=True), "layers": ("", "600", "600,300"), "kind": ("a", "b")}
    study = Study(None, {}, seed=0)
    defaults = {"rate": 1e-3, "layers": "600", "kind": "a"}
    drawn = []
    for value in range(5):
        trial, settings = study.ask(space, defaults, None)
        drawn.append(settings)
        study.end(trial, TuningTrial(number=value + 1, settings=settings, state="complete", value=float(value)))
    assert drawn[0] == {}
    assert drawn[1:4] == [
        {"rate": "0.001", "layers": "", "kind": "a"},
        {"rate": "0.001", "layers": "600,300", "kind": "a"},
        {"rate": "0.001", "layers": "600", "kind": "b"},
    ]
    assert drawn[4]["rate"] != "0.001"


def test_a_search_begins_with_one_change_at_a_time_and_then_all_that_helped():
    space = {"rate": Range(1e-4, 1e-1, log=True), "width": Range(10, 310), "drop": Range(0.0, 0.9), "kind": ("a", "b")}
    start = {"rate": 1e-2, "width": 110, "drop": 0.3, "kind": "a"}

    def metric(settings: dict[str, str]) -> float:
        found = {**start, **settings}
        away = abs(np.log10(float(found["rate"])) + 3) + abs(int(found["width"]) - 210) / 100
        return -away + 0.01 * float(found["drop"]) + 5.0 * (found["kind"] == "b")  # `drop` brings too little

    study, drawn = Study(None, {}, seed=0), []
    for number in range(9):
        trial, settings = study.ask(space, start, None)
        drawn.append(settings)
        study.end(trial, TuningTrial(number=number + 1, settings=settings, state="complete", value=metric(settings)))
    assert drawn[0] == {}
    base = {"rate": "0.01", "width": "110", "drop": "0.3", "kind": "b"}
    moved = [("rate", "0.001"), ("rate", "0.1"), ("width", "10"), ("width", "210"), ("drop", "0.0"), ("drop", "0.6")]
    assert drawn[1:8] == [base, *({**base, name: value} for name, value in moved)]
    assert drawn[8] == {"rate": "0.001", "width": "210", "drop": "0.3", "kind": "b"}
    assert metric(drawn[8]) == max(map(metric, drawn))


def test_what_lies_outside_of_its_range_stays_as_it_is_while_another_setting_changes():
    """`alpha` of LDA is none by default: drawn at random beside each change, it would decide what helped."""
    space = {"alpha": Range(1e-3, 1.0, log=True), "width": Range(10, 310), "kind": ("a", "b")}
    study, start, drawn = Study(None, {}, seed=0), {"alpha": None, "width": 110, "kind": "a"}, []
    for number in range(6):
        trial, settings = study.ask(space, start, None)
        drawn.append(settings)
        if number == 3:  # interrupted, and measured again with the same settings
            study.give_back(trial)
            trial, settings = study.ask(space, start, None)
            assert settings == drawn[-1]
        value = 5.0 * (settings.get("kind") == "b") - abs(int(settings.get("width", 110)) - 210)
        study.end(trial, TuningTrial(number=number + 1, settings=settings, state="complete", value=value))
    base = {"width": "110", "kind": "b"}
    assert drawn[:4] == [{}, base, {**base, "width": "10"}, {**base, "width": "210"}]
    assert drawn[4].keys() == drawn[5].keys() == space.keys()  # both changes together are the fourth


def test_a_search_begins_whatever_fails_or_is_given_up():
    space, start = {"rate": Range(0.0, 0.9), "width": Range(0.0, 0.9)}, {"rate": 0.3, "width": 0.3}
    study, seen = Study(None, {}, seed=0), []
    for number in range(8):
        trial, settings = study.ask(space, start, None)
        seen.append(settings)
        state = ["failed", "pruned", "complete"][number % 3]
        value = None if state == "failed" else 0.1 * number
        study.end(trial, TuningTrial(number=number + 1, settings=settings, state=state, value=value))
    assert len({tuple(one.items()) for one in seen}) == 8  # nothing is measured twice, and nothing ends the search


def test_every_second_trial_is_near_the_best_one():
    space = {"rate": Range(1e-4, 1e-2, log=True), "width": Range(10, 1000), "kind": ("a", "b")}
    study, best = Study(None, {}, seed=0), {"rate": 2e-3, "width": 700, "kind": "b"}
    steps = {"near": [], "far": []}
    for number in range(60):
        trial, settings = study.ask(space, best, None)
        if number > 10 and settings:
            away = abs(np.log(float(settings["rate"]) / best["rate"])) / np.log(100)
            steps["near" if number % 2 else "far"].append(away)
        value = 1.0 if not settings else 0.5
        study.end(trial, TuningTrial(number=number + 1, settings=settings, state="complete", value=value))
    assert max(steps["near"]) < 0.5
    assert np.median(steps["near"]) < 0.12
    assert np.median(steps["far"]) > 0.12


def test_a_search_of_few_alternatives_does_not_end_at_a_neighbor_that_was_measured():
    space = dict.fromkeys("uvwx", ("a", "b", "c"))
    study, start = Study(None, {}, seed=0), dict.fromkeys("uvwx", "a")
    for number in range(30):
        asked = study.ask(space, start, None)
        assert asked is not None
        trial, settings = asked
        study.end(
            trial,
            TuningTrial(number=number + 1, settings=settings, state="complete", value=1.0 if number == 3 else 0.0),
        )


def test_defaults_that_were_interrupted_come_before_the_alternatives():
    space, start = {"kind": ("a", "b", "c")}, {"kind": "a"}
    study = Study(None, {}, seed=0)
    trial, _ = study.ask(space, start, None)
    study.give_back(trial)
    trial, settings = study.ask(space, start, None)
    assert settings == {}
    assert study.is_first(trial)
