"""Which figure chooses the best epoch and ends a training, and in which direction."""

import math

import pytest
from toy import ToyScorer, ToyTask
from trainings import assert_equal_states, fit

from tenfold.errors import TrainingError
from tenfold.training.monitor import Monitor, monitor_of

PLAIN = {"schedule": {"name": "none"}}


@pytest.mark.parametrize(
    ("name", "figure", "minimised"),
    [
        ("score", "score", False),
        ("loss", "loss", True),
        ("-loss", "loss", True),
        ("val/loss", "loss", True),
        ("accuracy", "accuracy", False),
        ("val/accuracy", "accuracy", False),
        ("-rmse", "rmse", True),
        ("-val/rmse", "rmse", True),
        ("+loss", "loss", False),
        ("+val/loss", "loss", False),
        ("+score", "score", False),
        ("+val/rmse", "rmse", False),
    ],
)
def test_names(name, figure, minimised):
    assert monitor_of(name) == Monitor(figure, minimised)


def test_a_gain_is_higher_the_better_and_no_number_is_the_worst():
    row = {"val/score": 0.25, "val/loss": 2.0, "val/odd": math.nan}
    assert monitor_of("score").gain(row) == 0.25
    assert monitor_of("loss").gain(row) == -2.0
    assert monitor_of("+loss").gain(row) == 2.0
    assert monitor_of("odd").gain(row) == monitor_of("-odd").gain(row) == -math.inf
    assert monitor_of("loss").read(row) == 2.0


class Falling(ToyTask):
    """Whose held-out loss is lowest in its third epoch."""

    losses = (0.9, 0.5, 0.4, 0.6, 0.8)

    def assess(self, model, batch):
        outputs, loss = super().assess(model, batch)
        # Two batches a validation.
        epoch, self.batches = self.batches // 2, self.batches + 1
        return outputs, loss * 0 + self.losses[epoch]

    batches = 0


SCORES = [0.5, 0.9, 0.2, 0.3, 0.1]


@pytest.mark.parametrize(
    ("monitor", "best"),
    [
        ("score", 2),
        ("loss", 3),
        ("+loss", 1),
        ("accuracy", 2),
        ("-accuracy", 5),
        ("-score", 5),
    ],
)
def test_the_best_epoch_is_that_of_the_figure(data, tmp_path, monitor, best):
    # A figure of the challenge is looked for at the start, which takes one.
    looks = "accuracy" in monitor
    scorer = ToyScorer(scripted=[0.0] * looks + SCORES)
    task = Falling()
    task.batches = -1 if looks else 0
    fitted, _ = fit(
        data, tmp_path / "1", task, scorer, epochs=5, monitor=monitor, **PLAIN
    )
    # Without a schedule, the weights of an epoch do not depend on how many follow.
    alone, _ = fit(data, tmp_path / "2", epochs=best, **PLAIN)
    assert_equal_states(fitted.weights["best"], alone.weights["last"])


@pytest.mark.parametrize(("monitor", "epochs"), [("score", 4), ("loss", 5)])
def test_patience_waits_for_the_figure(data, tmp_path, monitor, epochs):
    scorer = ToyScorer(scripted=SCORES)
    fitted, _ = fit(
        data, tmp_path, Falling(), scorer, epochs=5, monitor=monitor, patience=2
    )
    assert len(fitted.history) == epochs
    assert [row["val/score"] for row in fitted.history] == SCORES[:epochs]


@pytest.mark.parametrize(
    "options",
    [
        {"monitor": "dice_kelp"},
        {"monitor": "-val/dice_kelp"},
        {"monitor": "+dice_kelp"},
        {"schedule": {"name": "plateau", "monitor": "dice_kelp"}},
    ],
)
def test_an_unknown_figure_is_refused_before_the_first_step(data, tmp_path, options):
    task = ToyTask()
    with pytest.raises(TrainingError) as error:
        fit(data, tmp_path, task, **options)
    assert "no held-out figure is called 'dice_kelp'" in str(error.value)
    assert "there are score, loss, accuracy, wobble" in str(error.value)
    assert (task.steps, len(task.whole_seen)) == (0, 1)


@pytest.mark.parametrize("monitor", ["wobble", "-val/wobble", "accuracy"])
def test_any_figure_of_the_challenge_will_do(data, tmp_path, monitor):
    fitted, _ = fit(data, tmp_path, monitor=monitor, epochs=2)
    assert "best" in fitted.weights


def test_looking_for_a_figure_changes_nothing(data, tmp_path):
    one, _ = fit(data, tmp_path / "1", monitor="accuracy")
    other, _ = fit(data, tmp_path / "2", monitor="score")
    for kind in ("last", "ema", "best"):
        assert_equal_states(one.weights[kind], other.weights[kind])


def test_a_resumed_training_does_not_look_again(data, tmp_path):
    fit(data, tmp_path, monitor="wobble", epochs=2)
    task = ToyTask()
    fit(data, tmp_path, task, monitor="wobble", epochs=2, resume="must")
    assert task.whole_seen == []


def test_a_score_that_is_no_number_leaves_a_best_epoch(data, tmp_path):
    """The first one, until there is a number; else stages would miss its weights."""
    scorer = ToyScorer(scripted=[math.nan, math.nan])
    fitted, _ = fit(data, tmp_path / "1", None, scorer, epochs=2, **PLAIN)
    first, _ = fit(data, tmp_path / "2", epochs=1, **PLAIN)
    assert_equal_states(fitted.weights["best"], first.weights["last"])
    scorer = ToyScorer(scripted=[math.nan, 0.1])
    fitted, _ = fit(data, tmp_path / "3", None, scorer, epochs=2, **PLAIN)
    second, _ = fit(data, tmp_path / "4", epochs=2, **PLAIN)
    assert_equal_states(fitted.weights["best"], second.weights["last"])
