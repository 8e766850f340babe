"""A rate that is lowered when a held-out figure has not become better for long."""

import pytest
import torch
from toy import ToyScorer, ToyTask
from trainings import epoch_rates, fit


class Scripted(ToyTask):
    """Whose validations have the losses it is given, one an epoch."""

    def __init__(self, losses):
        super().__init__()
        self._losses = list(losses)

    def assess(self, model, batch):
        outputs, _ = super().assess(model, batch)
        # Two batches a validation.
        loss = self._losses[0] if self._batches % 2 == 0 else self._losses.pop(0)
        self._batches += 1
        return outputs, torch.tensor(loss)

    _batches = 0


PLATEAU = {"name": "plateau", "factor": 0.5, "patience": 1}


def test_a_loss_that_stays_lowers_the_rate_after_patience(data, tmp_path, rates):
    losses = [1.0, 0.9, 0.95, 0.9, 0.89995, 0.92, 0.8, 0.7]
    fit(
        data,
        tmp_path,
        Scripted(losses),
        epochs=8,
        learning_rate=0.01,
        schedule=PLATEAU,
    )
    # The best is the second's; two epochs without gain, and two more: less than a
    # ten-thousandth is none.
    halves = [0, 0, 0, 0, 1, 1, 2, 2]
    expected = [0.01 * 0.5**times for times in halves]
    assert epoch_rates(rates) == pytest.approx(expected)


def test_a_loss_that_falls_keeps_the_rate(data, tmp_path, rates):
    """The other direction would lower it at each falling loss."""
    losses = [1 / epoch for epoch in range(1, 9)]
    fit(
        data,
        tmp_path,
        Scripted(losses),
        epochs=8,
        learning_rate=0.01,
        schedule=PLATEAU,
    )
    assert set(rates()) == {0.01}


def test_the_published_slip_of_the_classifier_of_clouds(data, tmp_path, rates):
    """Its plateau waits for a higher loss, so a falling one lowers the rate."""
    losses = [1 / epoch for epoch in range(1, 16)]
    schedule = {
        "name": "plateau",
        "factor": 0.1,
        "patience": 2,
        "minimum_rate": 0,
        "monitor": "+loss",
    }
    options = {"epochs": 15, "learning_rate": 5e-4, "schedule": schedule}
    fit(data, tmp_path, Scripted(losses), **options)
    tenths = [0] * 4 + [1] * 3 + [2] * 3 + [3] * 3 + [4] * 2
    expected = [5e-4 * 0.1**times for times in tenths]
    assert epoch_rates(rates) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("monitor", "scores", "halves"),
    [
        ("score", [0.1, 0.2, 0.3, 0.4, 0.5], [0, 0, 0, 0, 0]),
        ("score", [0.5, 0.4, 0.3, 0.2, 0.1], [0, 0, 0, 1, 1]),
        ("-accuracy", [0.5, 0.4, 0.3, 0.2, 0.1], [0, 0, 0, 0, 0]),
        ("-accuracy", [0.1, 0.2, 0.3, 0.4, 0.5], [0, 0, 0, 1, 1]),
    ],
)
def test_a_plateau_of_another_figure(data, tmp_path, rates, monitor, scores, halves):
    # A figure of the challenge is looked for at the start, which takes one, too.
    scripted = scores if monitor == "score" else [0.0, *scores]
    scorer = ToyScorer(scripted=scripted)
    schedule = PLATEAU | {"monitor": monitor}
    fit(data, tmp_path, None, scorer, epochs=5, learning_rate=0.01, schedule=schedule)
    assert epoch_rates(rates) == pytest.approx([0.01 * 0.5**n for n in halves])


def test_the_rate_of_a_plateau_has_a_lowest(data, tmp_path, rates):
    schedule = PLATEAU | {"patience": 0, "minimum_rate": 0.004}
    task = Scripted([1.0] * 6)
    fit(data, tmp_path, task, epochs=6, learning_rate=0.01, schedule=schedule)
    expected = [0.01, 0.01, 0.005, 0.004, 0.004, 0.004]
    assert epoch_rates(rates) == pytest.approx(expected)


def test_only_validations_count_for_a_plateau(data, tmp_path, rates):
    schedule = PLATEAU | {"patience": 0}
    task = Scripted([1.0] * 3)
    options = {"epochs": 6, "learning_rate": 0.01, "validate_every": 2}
    fit(data, tmp_path, task, schedule=schedule, **options)
    expected = [0.01, 0.01, 0.01, 0.01, 0.005, 0.005]
    assert epoch_rates(rates) == pytest.approx(expected)


def test_a_plateau_does_not_move_a_tail(data, tmp_path, rates):
    schedule = PLATEAU | {"patience": 0, "tail": [[3, 0.008]]}
    task = Scripted([1.0] * 6)
    fit(data, tmp_path, task, epochs=6, learning_rate=0.01, schedule=schedule)
    assert epoch_rates(rates) == [0.01, 0.01, 0.005, 0.008, 0.008, 0.008]
