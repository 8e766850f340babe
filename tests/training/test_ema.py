"""The moving average against a loop written out."""

import numpy as np
import pytest
import torch
from torch import nn

from tenfold.training.ema import Ema


def model():
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def walk(network, steps, seed):
    """Change weights and buffers as training does; yield the state each time."""
    generator = torch.Generator().manual_seed(seed)
    network.train()
    for _ in range(steps):
        with torch.no_grad():
            for weight in network.parameters():
                weight += torch.randn(weight.shape, generator=generator)
            network(torch.randn(8, 3, generator=generator))
        yield {k: v.clone().double().numpy() for k, v in network.state_dict().items()}


def by_hand(start, states, decay, first=1):
    average = {name: values.copy() for name, values in start.items()}
    for n, state in enumerate(states, first):
        share = min(decay, (1 + n) / (10 + n))
        for name in average:
            average[name] = share * average[name] + (1 - share) * state[name]
    return average


@pytest.mark.parametrize("decay", [0.15, 0.5, 0.9, 0.999])
def test_equals_a_hand_loop_with_its_warm_up(decay):
    network = model()
    start = {k: v.double().numpy() for k, v in network.state_dict().items()}
    start = {k: v.copy() for k, v in start.items()}
    ema, states = Ema(network, decay), []
    for state in walk(network, 40, seed=1):
        ema.update(network)
        states.append(state)
    expected = by_hand(start, states, decay)
    for name, values in ema.state.items():
        if values.is_floating_point():
            np.testing.assert_allclose(values, expected[name], rtol=2e-5, atol=2e-6)
    assert ema.updates == 40


def test_the_first_average_is_mostly_the_new_weights():
    network = model()
    start = network[0].weight.detach().clone()
    ema = Ema(network, 0.999)
    with torch.no_grad():
        network[0].weight += 11.0
    ema.update(network)
    # (1 + 1) / (10 + 1) of the old, the rest of the new.
    torch.testing.assert_close(ema.state["0.weight"], start + 9.0)


def test_integer_buffers_are_copied():
    network = model()
    ema = Ema(network, 0.9)
    for _ in walk(network, 7, seed=2):
        ema.update(network)
    counted = ema.state["1.num_batches_tracked"]
    assert counted.dtype == torch.int64
    assert int(counted) == 7


def test_buffers_that_float_are_averaged_too():
    network = model()
    ema = Ema(network, 0.9)
    means = [state["1.running_mean"] for state in _updated(ema, network, 12)]
    expected = by_hand({"m": np.zeros(4)}, [{"m": m} for m in means], 0.9)["m"]
    np.testing.assert_allclose(ema.state["1.running_mean"], expected, rtol=1e-5)
    assert not np.allclose(ema.state["1.running_mean"], means[-1])


def _updated(ema, network, steps):
    for state in walk(network, steps, seed=4):
        ema.update(network)
        yield state


def test_the_average_never_touches_the_model_nor_follows_it():
    network = model()
    ema = Ema(network, 0.9)
    average = {k: v.clone() for k, v in ema.state.items()}
    with torch.no_grad():
        network[0].weight.zero_()
    assert torch.equal(ema.state["0.weight"], average["0.weight"])
    ema.update(network)
    assert not network[0].weight.any()
    assert ema.state["0.weight"].grad_fn is None


def test_going_on_from_a_saved_average_is_as_if_never_stopped():
    whole, first = model(), model()
    undisturbed, before = Ema(whole, 0.95), Ema(first, 0.95)
    for _ in walk(whole, 10, seed=5):
        undisturbed.update(whole)
    walker = walk(first, 10, seed=5)
    for _ in range(4):
        next(walker)
        before.update(first)
    saved = {k: v.clone() for k, v in before.state.items()}
    after = Ema(model(), 0.95)
    after.load(saved, before.updates)
    for _ in walker:
        after.update(first)
    assert after.updates == 10
    for name, values in undisturbed.state.items():
        assert torch.equal(values, after.state[name]), name
    # The saved state is a copy: going on does not change it.
    assert torch.equal(saved["0.weight"], before.state["0.weight"])


def test_a_state_of_another_model_is_refused():
    ema = Ema(model(), 0.9)
    with pytest.raises(KeyError):
        ema.load({"unknown": torch.zeros(1)}, 3)
    with pytest.raises(RuntimeError):
        ema.load({"0.weight": torch.zeros(2, 2)}, 3)


def test_an_average_of_weights_of_16_bits_is_wide():
    """Next to 1, bfloat16 has steps of 1/128: most of an average's are smaller."""
    model = nn.Linear(1, 1, bias=False).to(torch.bfloat16)
    nn.init.ones_(model.weight)
    ema = Ema(model, 0.999)
    ema.updates = 10**6
    nn.init.constant_(model.weight, 1 + 1 / 128)
    ema.update(model)
    assert ema.state["weight"].dtype == torch.float32
    assert float(ema.state["weight"]) == pytest.approx(1 + 0.001 / 128, rel=1e-7)
