"""Builds the optimiser that a recipe names."""

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from tenfold.recipe import Training

_EPS = 1e-8


def optimiser_of(training: Training, model: nn.Module) -> Optimizer:
    """Return the optimiser of a model's trainable parameters.

    All parameters share one rate. Adam and SGD add `weight_decay` to the gradient as
    an L2 penalty; AdamW takes it off the weights (Loshchilov and Hutter, ICLR 2019).

    Args:
        training: of the recipe.
        model: on any device.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    rate, decay = training.learning_rate, training.weight_decay
    if training.optimiser == "sgd":
        return SGD(parameters, rate, momentum=training.momentum, weight_decay=decay)
    kind = Adam if training.optimiser == "adam" else AdamW
    return kind(parameters, rate, eps=_eps(training), weight_decay=decay)


def _eps(training: Training) -> float:
    """Return what Adam adds to its divisor.

    The usual 1e-8 is 0 in float16, and a gradient of 0 would be divided by 0; there it
    is float16's smallest normal number.
    """
    if training.precision == "16-true":
        return torch.finfo(torch.float16).tiny
    return _EPS
