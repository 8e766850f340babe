"""The learning rate and the momentum of every step, against closed forms."""

import math

import pytest
from trainings import STEPS, epoch_rates, fit


def one_cycle(peak, total, warmup, start_divisor, final_divisor):
    """Cosine from peak / start to peak, then to peak / start / final."""
    low = peak / start_divisor
    top = warmup * total - 1
    rates = []
    for step in range(total):
        if step <= top:
            start, end, share = low, peak, step / top
        else:
            start, end = peak, low / final_divisor
            share = (step - top) / (total - 1 - top)
        rates.append(end + (start - end) * (1 + math.cos(math.pi * share)) / 2)
    return rates


@pytest.mark.parametrize(
    ("epochs", "warmup", "start", "final"),
    [(5, 0.25, 2.0, 100.0), (4, 0.5, 25.0, 1e4), (3, 0.3, 1.0, 10.0)],
)
def test_the_rate_is_one_cycle(data, tmp_path, rates, epochs, warmup, start, final):
    schedule = {"warmup": warmup, "start_divisor": start, "final_divisor": final}
    fit(data, tmp_path, epochs=epochs, learning_rate=0.01, schedule=schedule)
    expected = one_cycle(0.01, epochs * STEPS, warmup, start, final)
    assert rates() == pytest.approx(expected, rel=1e-9)
    assert rates()[0] == pytest.approx(0.01 / start)
    assert rates()[-1] == pytest.approx(0.01 / start / final)


def test_the_history_has_the_rate_that_was_used(data, tmp_path, rates):
    """The last row ends at the final rate, not beyond the schedule."""
    fitted, _ = fit(data, tmp_path, epochs=3)
    for row in fitted.history:
        # Of the epoch's last step, or of the step that comes next.
        place = int(row["epoch"]) * STEPS
        used = rates()[place - 1 : place + 1]
        assert min(abs(row["lr"] - rate) for rate in used) < 1e-12


def test_without_a_schedule_the_rate_stays(data, tmp_path, rates):
    fit(data, tmp_path, epochs=2, learning_rate=0.003, schedule={"name": "none"})
    assert rates() == [0.003] * (2 * STEPS)


@pytest.mark.parametrize("by_epoch", [False, True])
def test_an_exponential_rate_falls_to_its_factor_in_a_period(
    data, tmp_path, rates, by_epoch
):
    schedule = {"name": "exponential", "factor": 0.5, "period_epochs": 2}
    schedule["by_epoch"] = by_epoch
    fit(data, tmp_path, epochs=5, learning_rate=0.01, schedule=schedule)
    done = [step // STEPS if by_epoch else step / STEPS for step in range(5 * STEPS)]
    assert rates() == pytest.approx([0.01 * 0.5 ** (n / 2) for n in done], rel=1e-9)


@pytest.mark.parametrize(
    ("epochs", "batch", "warmup"),
    [(1, 4, 0.25), (5, 4, 0.05), (3, 4, 1.0), (3, 4, 0.0), (1, 16, 0.1)],
)
def test_every_warmup_that_a_recipe_may_ask_for_works(
    data, tmp_path, rates, epochs, batch, warmup
):
    """The default 0.1 of 10 steps, e.g., is a warm-up of one step."""
    schedule = {"warmup": warmup}
    fitted, _ = fit(data, tmp_path, epochs=epochs, batch=batch, schedule=schedule)
    assert len(fitted.history) == epochs
    assert len(rates()) == epochs * (16 // batch)
    assert all(0 < rate <= 0.02 * (1 + 1e-9) for rate in rates())


# One cycle of the momentum ---------------------------------------------------------


def momenta(groups, optimiser):
    if optimiser == "sgd":
        return [group["momentum"] for group in groups]
    assert {group["betas"][1] for group in groups} == {0.999}
    return [group["betas"][0] for group in groups]


@pytest.mark.parametrize("optimiser", ["adamw", "adam", "sgd"])
def test_the_momentum_cycles_against_the_rate(data, tmp_path, groups, optimiser):
    """From 0.95 to 0.85 at the peak of the rate, and back, as published."""
    options = {"optimiser": optimiser, "epochs": 5, "schedule": {"warmup": 0.25}}
    fit(data, tmp_path, **options)
    total, top = 5 * STEPS, 0.25 * 5 * STEPS - 1
    expected = []
    for step in range(total):
        fall = step / top if step <= top else (total - 1 - step) / (total - 1 - top)
        expected.append(0.85 + 0.10 * (1 + math.cos(math.pi * fall)) / 2)
    assert momenta(groups, optimiser) == pytest.approx(expected, rel=1e-9)
    assert expected[int(top)] == pytest.approx(0.85)


@pytest.mark.parametrize("name", ["onecycle", "cyclic"])
def test_the_momentum_may_stay(data, tmp_path, groups, name):
    schedule = {"name": name, "cycle_momentum": False}
    sgd = {"optimiser": "sgd", "momentum": 0.7}
    fit(data, tmp_path / "1", epochs=3, schedule=schedule, **sgd)
    assert set(momenta(groups, "sgd")) == {0.7}
    groups.clear()
    fit(data, tmp_path / "2", epochs=3, schedule=schedule)
    assert set(momenta(groups, "adamw")) == {0.9}


# Half a cosine ---------------------------------------------------------------------


@pytest.mark.parametrize("warmup", [0.0, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_cosine(data, tmp_path, rates, warmup, accumulate):
    """Straight up from half the peak, then down to what would be the next step's."""
    schedule = {"name": "cosine", "warmup": warmup, "start_divisor": 4.0}
    options = {"epochs": 4, "learning_rate": 0.01, "accumulate": accumulate}
    fit(data, tmp_path, schedule=schedule, **options)
    steps = 16 // accumulate
    rising = round(warmup * steps)
    expected = [0.0025 + 0.0075 * step / rising for step in range(rising)]
    for step in range(steps - rising):
        cosine = math.cos(math.pi * step / (steps - rising))
        expected.append(1e-7 + (0.01 - 1e-7) * (1 + cosine) / 2)
    assert rates() == pytest.approx(expected, rel=1e-6)


def test_cosine_ends_at_its_lowest_rate(data, tmp_path, rates):
    schedule = {"name": "cosine", "warmup": 0, "minimum_rate": 0.004}
    fit(data, tmp_path, epochs=4, learning_rate=0.01, schedule=schedule)
    assert rates()[0] == pytest.approx(0.01)
    assert 0.004 < rates()[-1] < 0.0041


@pytest.mark.parametrize(
    ("period", "factor", "lengths"),
    [(1, 2, [4, 8, 16]), (2, 1, [8, 8, 8, 4]), (1, 3, [4, 12, 12])],
)
def test_cosine_restarts(data, tmp_path, rates, period, factor, lengths):
    """Periods of steps, each so many times as long as the one before."""
    schedule = {
        "name": "cosine-restarts",
        "period_epochs": period,
        "period_factor": factor,
    }
    fit(data, tmp_path, epochs=7, learning_rate=0.01, schedule=schedule)
    expected, whole = [], period * STEPS
    for length in lengths:
        expected += [
            1e-7 + (0.01 - 1e-7) * (1 + math.cos(math.pi * step / whole)) / 2
            for step in range(length)
        ]
        whole *= factor
    assert rates() == pytest.approx(expected, rel=1e-9)


# Once an epoch ---------------------------------------------------------------------


def half_cosine(peak, lowest, share):
    return lowest + (peak - lowest) * (1 + math.cos(math.pi * share)) / 2


@pytest.mark.parametrize("accumulate", [1, 3])
def test_cosine_by_the_epoch_without_a_warm_up(data, tmp_path, groups, accumulate):
    """As the published 2nd-place kelp system has it."""
    schedule = {"name": "cosine", "warmup": 0, "by_epoch": True}
    options = {"epochs": 5, "learning_rate": 0.01, "accumulate": accumulate}
    fitted, _ = fit(data, tmp_path, schedule=schedule, **options)
    steps = -(-STEPS // accumulate)
    expected = [half_cosine(0.01, 1e-7, epoch / 5) for epoch in range(5)]
    taken = [group["lr"] for group in groups]
    assert taken == pytest.approx([r for r in expected for _ in range(steps)], rel=1e-6)
    assert [row["lr"] for row in fitted.history] == taken[::steps]


def test_a_warm_up_by_the_epoch_is_a_share_of_epochs(data, tmp_path, rates):
    schedule = {"name": "cosine", "warmup": 0.3, "start_divisor": 4, "by_epoch": True}
    fit(data, tmp_path, epochs=7, learning_rate=0.01, schedule=schedule)
    falling = [half_cosine(0.01, 1e-7, epoch / 5) for epoch in range(5)]
    expected = [0.0025, 0.00625, *falling]
    assert epoch_rates(rates) == pytest.approx(expected, rel=1e-6)


def test_restarts_by_the_epoch(data, tmp_path, rates):
    schedule = {"name": "cosine-restarts", "period_epochs": 2, "by_epoch": True}
    fit(data, tmp_path, epochs=7, learning_rate=0.01, schedule=schedule)
    shares = [0, 1 / 2, 0, 1 / 4, 2 / 4, 3 / 4, 0]
    expected = [half_cosine(0.01, 1e-7, share) for share in shares]
    assert epoch_rates(rates) == pytest.approx(expected, rel=1e-9)


def test_averaging_ends_a_schedule_that_is_moved_by_the_epoch(data, tmp_path, rates):
    schedule = {"name": "cosine", "warmup": 0, "by_epoch": True}
    swa = {"start": 0.5, "learning_rate": 0.001, "annealing_epochs": 2}
    fit(data, tmp_path, epochs=8, learning_rate=0.01, schedule=schedule, swa=swa)
    followed = [half_cosine(0.01, 1e-7, epoch / 8) for epoch in range(5)]
    expected = [*followed, (followed[-1] + 0.001) / 2, 0.001, 0.001]
    assert epoch_rates(rates) == pytest.approx(expected, rel=1e-6)


# A tail ----------------------------------------------------------------------------

#: Of the published 3rd-place clouds system: its segmentation networks' rates, from
#: three periods of ten epochs and five epochs that follow, to the digits of its log.
CLOUDS = {
    "name": "cosine-restarts",
    "period_epochs": 10,
    "period_factor": 1,
    "minimum_rate": 1e-6,
    "by_epoch": True,
    "tail": [[3, 1e-5], [2, 5e-6]],
}
CLOUDS_PERIOD = [
    *(5.00e-4, 4.88e-4, 4.52e-4, 3.97e-4, 3.28e-4),
    *(2.51e-4, 1.73e-4, 1.04e-4, 4.87e-5, 1.32e-5),
]


def test_the_published_rates_of_clouds(data, tmp_path, rates):
    options = {"epochs": 35, "learning_rate": 5e-4, "validate_every": 35}
    fit(data, tmp_path, schedule=CLOUDS, **options)
    taken, tail = epoch_rates(rates), [1e-5] * 3 + [5e-6] * 2
    exact = [half_cosine(5e-4, 1e-6, epoch / 10) for epoch in range(10)]
    assert taken == pytest.approx([*exact * 3, *tail], rel=1e-9)
    assert taken == pytest.approx([*CLOUDS_PERIOD * 3, *tail], rel=5e-3)


@pytest.mark.parametrize(
    "name", ["none", "onecycle", "cosine", "cosine-restarts", "cyclic", "plateau"]
)
def test_a_schedule_ends_before_its_tail(data, tmp_path, groups, name):
    """It does what it would in a run of three epochs, and then nothing."""
    options = {"learning_rate": 0.01, "optimiser": "sgd"}
    fit(data, tmp_path / "1", epochs=3, schedule={"name": name}, **options)
    alone = [(group["lr"], group["momentum"]) for group in groups]
    groups.clear()
    schedule = {"name": name, "tail": [[2, 0.003], [1, 0.02]]}
    fitted, _ = fit(data, tmp_path / "2", epochs=6, schedule=schedule, **options)
    taken = [(group["lr"], group["momentum"]) for group in groups]
    assert taken[: 3 * STEPS] == alone
    stays = alone[-1][1]
    assert taken[3 * STEPS :] == [
        *[(0.003, stays)] * (2 * STEPS),
        *[(0.02, stays)] * STEPS,
    ]
    last = [row["lr"] for row in fitted.history][2:]
    assert last == [alone[-1][0], 0.003, 0.003, 0.02]


# Up and down -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("up", "down", "decay"), [(1, 1, 1.0), (2, 1, 1.0), (1, 2, 0.9)]
)
def test_cyclic(data, tmp_path, groups, rates, up, down, decay):
    """A triangle from 1e-5, whose height decays by the step; momentum mirrors it."""
    schedule = {"name": "cyclic", "up_epochs": up, "down_epochs": down, "decay": decay}
    fit(data, tmp_path, epochs=7, learning_rate=0.01, schedule=schedule)
    rise, fall = up * STEPS, down * STEPS
    heights = []
    for step in range(7 * STEPS):
        place = step % (rise + fall)
        height = place / rise if place <= rise else 1 - (place - rise) / fall
        heights.append(height * decay**step)
    expected = [1e-5 + (0.01 - 1e-5) * height for height in heights]
    assert rates() == pytest.approx(expected, rel=1e-6)
    expected = [0.9 - 0.1 * height for height in heights]
    assert momenta(groups, "adamw") == pytest.approx(expected, rel=1e-6)


# With weights averaged -------------------------------------------------------------


@pytest.mark.parametrize("name", ["onecycle", "cosine", "none", "cyclic", "plateau"])
def test_averaging_ends_a_schedule_and_anneals_to_its_own_rate(
    data, tmp_path, rates, name
):
    schedule = {"name": name}
    options = {"epochs": 8, "learning_rate": 0.01, "schedule": schedule}
    swa = {"start": 0.5, "learning_rate": 0.001, "annealing_epochs": 2}
    fit(data, tmp_path / "1", **options)
    without = rates()
    fit(data, tmp_path / "2", swa=swa, **options)
    taken = rates()[len(without) :]
    assert taken[:17] == without[:17]
    # Where the schedule is after four epochs, half way by a cosine, and there.
    start = without[16]
    expected = [start] * 4 + [(start + 0.001) / 2] * 4 + [0.001] * 8
    assert taken[16:] == pytest.approx(expected)
