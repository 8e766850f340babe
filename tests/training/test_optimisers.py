"""Optimisers and the limit of a gradient's norm, against steps made by hand."""

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW
from torch.optim.optimizer import register_optimizer_step_pre_hook
from trainings import fit

from tenfold.recipe import Training
from tenfold.training.optimisers import optimiser_of


def training(**options):
    plain = {"epochs": 1, "batch": 1, "schedule": {"name": "none"}}
    return Training.model_validate(plain | options)


def stepped(gradients, **options):
    """Return a weight that began as 1 after steps along gradients."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    optimiser = optimiser_of(training(learning_rate=0.1, **options), model)
    for gradient in gradients:
        model.weight.grad = torch.full_like(model.weight, gradient)
        optimiser.step()
    return float(model.weight.detach())


def test_the_kinds():
    kinds = {"adamw": AdamW, "adam": Adam, "sgd": SGD}
    for name, kind in kinds.items():
        made = optimiser_of(training(optimiser=name), nn.Linear(2, 2))
        assert type(made) is kind
    # torch's AdamW is an Adam, so the reverse is worth a look.
    assert type(optimiser_of(training(), nn.Linear(2, 2))) is AdamW


def test_sgd_by_hand():
    options = {"optimiser": "sgd", "weight_decay": 0.5}
    # Gradient 2 and the penalty's 0.5 × 1.
    assert stepped([2.0], momentum=0.0, **options) == pytest.approx(1 - 0.1 * 2.5)
    # Then 2 and 0.5 × 0.75, and 0.9 of the step before.
    second = 0.75 - 0.1 * (2.375 + 0.9 * 2.5)
    assert stepped([2.0, 2.0], momentum=0.9, **options) == pytest.approx(second)


def test_weight_decay_of_adam_is_a_penalty_and_of_adamw_is_not():
    # The first step of Adam has the size of the rate, whatever the gradient.
    assert stepped([2.0], optimiser="adam", weight_decay=0.5) == pytest.approx(0.9)
    decayed = 1 - 0.1 * 0.5 - 0.1
    assert stepped([2.0], weight_decay=0.5) == pytest.approx(decayed)


def test_frozen_weights_are_left_out():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[0].requires_grad_(False)
    (group,) = optimiser_of(training(), model).param_groups
    assert [id(p) for p in group["params"]] == [id(p) for p in model[1].parameters()]


@pytest.mark.parametrize("optimiser", ["adam", "adamw"])
def test_a_gradient_of_0_in_float16_is_no_division_by_0(optimiser):
    model = nn.Linear(1, 1, bias=False).half()
    options = {"optimiser": optimiser, "precision": "16-true", "weight_decay": 0}
    made = optimiser_of(training(**options), model)
    before = model.weight.detach().clone()
    model.weight.grad = torch.zeros_like(model.weight)
    made.step()
    assert torch.equal(model.weight, before)


@pytest.mark.parametrize("precision", ["32-true", "16-mixed"])
@pytest.mark.parametrize(("largest", "cuts"), [(0.05, True), (1e6, False)])
def test_a_gradient_has_no_larger_norm_than_its_limit(
    data, tmp_path, precision, largest, cuts
):
    norms = []

    def note(optimiser, *_):
        gradients = [p.grad for p in optimiser.param_groups[0]["params"]]
        norms.append(torch.stack([g.norm() for g in gradients]).norm().item())

    handle = register_optimizer_step_pre_hook(note)
    try:
        fit(data, tmp_path, clip_norm=largest, precision=precision)
    finally:
        handle.remove()
    assert len(norms) > 10
    assert max(norms) <= largest * 1.0001
    # A scaled loss has gradients 65536 times as large; they are scaled back first.
    assert min(norms) < 1.0
    assert (min(norms) > largest * 0.999) == cuts
