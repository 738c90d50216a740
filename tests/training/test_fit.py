"""The training loop: plans, early stopping, resuming, stopping by hand."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from foldin.data import Histories
from foldin.errors import FitError, RunError
from foldin.files import read_tensors
from foldin.models import MultVAE, MultVAEConfig, Recommender, RisingOverShare
from foldin.testing import two_tastes
from foldin.training import (
    CHECKPOINT,
    Config,
    EpochRecord,
    FullPass,
    GradientPhase,
    Loss,
    Progress,
    Step,
    Trainer,
    fit,
    shuffled,
)

TRAIN = two_tastes(60, 20)
CONFIG = MultVAEConfig(hidden_dims=(8,), latent_dim=4, epochs=6, batch_size=16, learning_rate=0.01)


def vae(config: MultVAEConfig = CONFIG, seed: int = 1) -> MultVAE:
    return MultVAE(20, config, seed=seed)


def bit_equal(a: Recommender, b: Recommender) -> bool:
    return all(torch.equal(value, b.state()[name]) for name, value in a.state().items())


@dataclass(frozen=True, kw_only=True)
class ScriptConfig(Config):
    pass


class Script(Recommender[ScriptConfig]):
    """A model with every kind of phase, which writes down what is asked of it."""

    Config = ScriptConfig
    has_likelihood = False
    summary = "a test model"

    def _build(self, generator):
        self.a = torch.nn.Parameter(torch.ones(3))
        self.b = torch.nn.Parameter(torch.ones(3))
        self.log: list[tuple] = []

    def tensors(self):
        return {"a": self.a, "b": self.b}

    def _loss(self, name, weight):
        def loss(batch: Histories, step: Step, generator: torch.Generator) -> Loss:
            frozen = self.b if name == "a" else self.a
            self.log.append((name, len(batch), step.number, step.planned, frozen.requires_grad))
            return Loss((weight * self.a).sum() + (weight * self.b).sum(), {"term": torch.tensor(float(step.number))})

        return loss

    def _sweep(self, name):
        def run(train: Histories, generator: torch.Generator):
            self.log.append((name, len(train)))
            return {"done": 1.0}

        return run

    def trainer(self, train):
        def gradient(name, **more):
            return GradientPhase(
                name=name,
                parameters={name: getattr(self, name)},
                loss=self._loss(name, 1.0),
                optimizer=lambda parameters: torch.optim.SGD(list(parameters.values()), lr=0.5),
                batches=shuffled(25),
                **more,
            )

        middle = FullPass(name="middle", run=self._sweep("middle"))
        first = FullPass(name="first", run=self._sweep("first"))
        rate = lambda step: 0.1 if step.number == 0 else 0.01
        return Trainer(gradient("a", passes=2), middle, gradient("b", learning_rate=rate), epochs=2, first=(first,))

    def _logits(self, histories):
        return torch.zeros(len(histories), self.n_items)


def test_a_plan_is_followed_phase_by_phase():
    model = Script(20)
    result = fit(model, TRAIN, patience=None)
    a = [("a", size, False) for size in (25, 25, 10)] * 2
    b = [("b", size, False) for size in (25, 25, 10)]
    expected = ["first", *a, "middle", *b, *a, "middle", *b]
    assert [(e[0], e[1], e[4]) if len(e) > 2 else e[0] for e in model.log] == expected
    steps = [entry for entry in model.log if len(entry) > 2]
    assert [(e[2], e[3]) for e in steps if e[0] == "a"] == [(k, 12) for k in range(12)]
    assert [(e[2], e[3]) for e in steps if e[0] == "b"] == [(k, 6) for k in range(6)]
    assert torch.allclose(model.a, torch.ones(3) - 12 * 0.5)
    assert torch.allclose(model.b, torch.ones(3) - 0.1 - 5 * 0.01)
    assert result.stopped == "finished"
    # Terms are means over users: steps 0, 1 (25 users each) and 2 (10 users), twice as many passes.
    first = result.records[0].terms
    assert first["middle/done"] == 1.0
    assert first["b/term"] == pytest.approx((25 * 0 + 25 * 1 + 10 * 2) / 60)


def test_epochs_that_are_left_out_keep_their_place_in_schedules():
    model = Script(20)
    result = fit(model, TRAIN, epochs=10, first_epoch=4, last_epoch=5)
    steps = [entry for entry in model.log if len(entry) > 2]
    assert [(e[2], e[3]) for e in steps if e[0] == "a"] == [(k, 60) for k in range(18, 30)]
    assert [(e[2], e[3]) for e in steps if e[0] == "b"] == [(k, 30) for k in range(9, 15)]
    assert [record.epoch for record in result.records] == [4, 5]
    assert result.records[0].terms["first/done"] == 1.0  # the passes before the first epoch are not left out
    assert (result.epochs, result.stopped) == (10, "finished")


def test_a_training_that_ends_earlier_is_the_beginning_of_the_whole_one():
    stopped, ended, shorter = vae(), vae(), vae()
    fit(stopped, TRAIN, until=lambda record: record.epoch == 2)
    found = fit(ended, TRAIN, last_epoch=2)
    assert len(found.records) == 2
    assert bit_equal(stopped, ended)
    fit(shorter, TRAIN, epochs=2)  # β has risen further
    assert not bit_equal(shorter, ended)


def test_a_training_of_later_epochs_is_resumed_at_the_same_bits(tmp_path):
    whole, resumed = vae(), vae(seed=2)
    fit(whole, TRAIN, first_epoch=3, last_epoch=5)
    later = {"first_epoch": 3, "folder": tmp_path}
    fit(vae(), TRAIN, **later, last_epoch=4)
    with pytest.raises(RunError, match="another first_epoch: 3, now 2"):
        fit(vae(), TRAIN, first_epoch=2, folder=tmp_path, resume=True)
    with pytest.raises(RunError, match="another first_epoch: 3, now 1"):
        fit(vae(), TRAIN, folder=tmp_path, resume=True)
    with pytest.raises(RunError, match="is of epoch 4, which is after the last epoch, 3"):
        fit(vae(), TRAIN, **later, last_epoch=3, resume=True)
    found = fit(resumed, TRAIN, **later, last_epoch=5, resume=True)
    assert [record.epoch for record in found.records] == [3, 4, 5]
    assert bit_equal(whole, resumed)


@pytest.mark.parametrize(("first", "last"), [(0, 2), (3, 2), (1, 7), (7, None)])
def test_epochs_that_do_not_exist_are_refused(first, last):
    with pytest.raises(FitError, match=f"not {first} and {last or 6}"):
        fit(vae(), TRAIN, first_epoch=first, last_epoch=last)


def test_every_user_is_seen_once_a_pass():
    seen = []

    class Watching(Script):
        def _loss(self, name, weight):
            inner = super()._loss(name, weight)

            def loss(batch, step, generator):
                seen.append(batch)
                return inner(batch, step, generator)

            return loss

    fit(Watching(20), TRAIN, epochs=1)
    for one in (seen[:3], seen[3:6], seen[6:9]):
        taken = sorted(tuple(batch.of(u).tolist()) for batch in one for u in range(len(batch)))
        assert taken == sorted(tuple(TRAIN.of(u).tolist()) for u in range(len(TRAIN)))
    assert [b.items.tolist() for b in seen[:3]] != [b.items.tolist() for b in seen[3:6]]


def test_the_best_epoch_is_kept_and_patience_stops():
    figures = iter([0.1, 0.3, 0.2, 0.2, 0.2, 0.9])
    states = []

    def judge(model):
        states.append(model.state())
        return next(figures)

    model = vae()
    result = fit(model, TRAIN, validation=judge, patience=3)
    assert (result.best_epoch, result.best_metric, result.stopped) == (2, 0.3, "patience")
    assert [record.best for record in result.records] == [True, True, False, False, False]
    assert all(torch.equal(value, model.state()[name]) for name, value in states[1].items())


def test_the_same_seed_is_bit_equal_and_another_is_not():
    one, same, other = vae(), vae(), vae()
    fit(one, TRAIN, seed=3)
    fit(same, TRAIN, seed=3)
    fit(other, TRAIN, seed=4)
    assert bit_equal(one, same)
    assert not bit_equal(one, other)


def validation_bound(model) -> float:
    return float(model.elbo(TRAIN, torch.Generator().manual_seed(0)).bound.mean())


@pytest.mark.parametrize("stop_after", [1, 3, 5])
def test_a_run_stopped_and_resumed_is_bit_equal(stop_after, tmp_path):
    whole = vae()
    expected = fit(whole, TRAIN, validation=validation_bound)
    stopped = fit(
        vae(), TRAIN, validation=validation_bound, folder=tmp_path, until=lambda record: record.epoch == stop_after
    )
    assert len(stopped.records) == stop_after
    resumed = vae(seed=2)  # what it begins with is overwritten, or nothing was resumed
    found = fit(resumed, TRAIN, validation=validation_bound, folder=tmp_path, resume=True)
    assert bit_equal(whole, resumed)
    assert [r.terms for r in found.records] == [r.terms for r in expected.records]
    assert (found.best_epoch, found.best_metric) == (expected.best_epoch, expected.best_metric)


KILLED = """
import sys
from pathlib import Path
from tests.training.test_fit import TRAIN, validation_bound, vae
from foldin.training import Progress, fit

class Say(Progress):
    def step(self, phase, done, total, terms):
        print("step", flush=True)

fit(vae(), TRAIN, validation=validation_bound, folder=Path(sys.argv[1]), resume=True, progress=Say())
"""


@pytest.mark.long
def test_a_run_killed_twice_and_resumed_is_bit_equal(tmp_path):
    whole = vae()
    fit(whole, TRAIN, validation=validation_bound)
    root = Path(__file__).parents[2]
    for count in (5, 10):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path)],
            cwd=root,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(root)},
        )
        for _ in range(count):
            assert process.stdout.readline() == "step\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    done = read_tensors(tmp_path / CHECKPOINT)[1]["epoch"]
    assert 1 <= done < 6
    resumed = vae(seed=2)
    fit(resumed, TRAIN, validation=validation_bound, folder=tmp_path, resume=True)
    assert bit_equal(whole, resumed)


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    fit(vae(), TRAIN, folder=tmp_path, until=lambda record: record.epoch == 1)
    for name, call in {
        "config": lambda: fit(
            vae(MultVAEConfig(hidden_dims=(8,), latent_dim=4, epochs=6, batch_size=17)),
            TRAIN,
            folder=tmp_path,
            resume=True,
        ),
        "seed": lambda: fit(vae(), TRAIN, seed=9, folder=tmp_path, resume=True),
        "train": lambda: fit(vae(), two_tastes(61, 20), folder=tmp_path, resume=True),
        "epochs": lambda: fit(vae(), TRAIN, epochs=9, folder=tmp_path, resume=True),
    }.items():
        with pytest.raises(RunError, match=f"trained with another {name}"):
            call()


def test_an_interrupt_keeps_the_best_weights():
    class Interrupt(Progress):
        def epoch(self, record: EpochRecord) -> None:
            if record.epoch == 3:
                raise KeyboardInterrupt

    figures = iter([0.1, 0.5, 0.2])
    states = []

    def judge(model):
        states.append(model.state())
        return next(figures)

    model = vae()
    result = fit(model, TRAIN, validation=judge, progress=Interrupt())
    assert (result.stopped, result.best_epoch, len(result.records)) == ("interrupted", 2, 3)
    assert all(torch.equal(value, model.state()[name]) for name, value in states[1].items())


def test_a_loss_that_is_not_finite_names_epoch_phase_and_term():
    config = MultVAEConfig(
        hidden_dims=(8,),
        latent_dim=4,
        epochs=6,
        batch_size=16,
        learning_rate=1e6,
        beta_schedule=RisingOverShare(share=0.0),
    )
    with pytest.raises(FitError, match=r"epoch \d, phase 'train': \w+ is (nan|inf|-inf)"):
        fit(vae(config), TRAIN)


def test_training_reports_speed_and_progress():
    calls = []

    class Watch(Progress):
        def begin(self, plan, epochs, done):
            calls.append(("begin", epochs, done))

        def step(self, phase, done, total, terms):
            calls.append(("step", phase, done, total, sorted(terms)))

    start = time.perf_counter()
    result = fit(vae(), TRAIN, epochs=2, progress=Watch())
    assert calls[0] == ("begin", 2, 0)
    assert calls[1] == ("step", "train", 1, 4, ["kl", "reconstruction"])
    assert len(calls) == 1 + 2 * 4
    assert 0 < result.seconds <= time.perf_counter() - start
    assert all(record.users_per_second > 0 for record in result.records)


def test_a_checkpoint_judged_by_another_figure_is_refused(tmp_path):
    fit(
        vae(),
        TRAIN,
        validation=validation_bound,
        validated_by="bound",
        folder=tmp_path,
        until=lambda record: record.epoch == 1,
    )
    with pytest.raises(RunError, match="trained with another validation"):
        fit(vae(), TRAIN, validation=validation_bound, validated_by="ndcg", folder=tmp_path, resume=True)


def test_an_interrupt_while_weights_are_copied_keeps_figure_and_weights_together():
    model = vae()
    copies = []
    plain = model.state

    def state():
        if len(copies) == 2:
            raise KeyboardInterrupt
        copies.append(plain())
        return copies[-1]

    model.state = state
    figures = iter([0.1, 0.2, 0.3])
    result = fit(model, TRAIN, validation=lambda _: next(figures))
    assert (result.best_epoch, result.best_metric) == (2, 0.2)
    assert all(torch.equal(value, plain()[name]) for name, value in copies[1].items())


def test_one_epoch_in_the_settings_is_no_closed_form():
    model = vae(MultVAEConfig(hidden_dims=(8,), latent_dim=4, epochs=1, batch_size=16))
    assert len(fit(model, TRAIN, epochs=3, validation=validation_bound).records) == 3
