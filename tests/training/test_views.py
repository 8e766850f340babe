"""Right-angle views form the dihedral group, and their mean is one of probabilities."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.training.views import mean_over_views, views_of

NAMES = ("none", "horizontal", "mirrors", "flips", "dihedral")
FLIPS, DIHEDRAL = views_of("flips"), views_of("dihedral")
SIZES = st.tuples(st.integers(1, 7), st.integers(1, 7))


def numbered(height, width, channels=1):
    """Planes whose every value is different."""
    count = channels * height * width
    return torch.arange(count).reshape(1, channels, height, width)


def same(a, b):
    return a.shape == b.shape and bool((a == b).all())


def test_there_are_one_to_eight_views_all_different():
    assert [len(views_of(n)) for n in NAMES] == [1, 2, 3, 4, 8]
    seen = [view.apply(numbered(3, 3)) for view in DIHEDRAL]
    for a, b in itertools.combinations(seen, 2):
        assert not same(a, b)
    for name in NAMES:
        assert same(views_of(name)[0].apply(numbered(2, 3)), numbered(2, 3))


def test_the_eight_are_what_quarter_turns_and_a_mirror_make():
    planes = numbered(4, 4, channels=2)
    wanted = [
        torch.rot90(mirrored, turns, (-2, -1))
        for mirrored in (planes, planes.flip(-1))
        for turns in range(4)
    ]
    for view in DIHEDRAL:
        assert sum(same(view.apply(planes), other) for other in wanted) == 1


def test_the_four_are_the_mirrorings():
    planes = numbered(2, 3)
    wanted = (planes, planes.flip(-1), planes.flip(-2), planes.flip(-1, -2))
    for view in FLIPS:
        assert sum(same(view.apply(planes), other) for other in wanted) == 1


def test_each_name_adds_views_to_the_one_before():
    for fewer, more in itertools.pairwise(NAMES):
        assert set(views_of(fewer)) < set(views_of(more))


def test_two_are_the_sample_and_its_mirror_image_three_one_upside_down_too():
    planes = numbered(2, 3)
    shown = [view.apply(planes) for view in views_of("mirrors")]
    wanted = (planes, planes.flip(-1), planes.flip(-2))
    assert all(same(a, b) for a, b in zip(shown, wanted, strict=True))
    assert views_of("horizontal") == views_of("mirrors")[:2]


@pytest.mark.parametrize(
    ("name", "axes"), [("horizontal", [-1]), ("mirrors", [-1, -2])]
)
def test_the_published_means_are_of_two_and_three_forwards(name, axes):
    planes = torch.randn(2, 2, 4, 7, generator=torch.Generator().manual_seed(5))
    see = turning_network(4)
    seen = [see(planes), *(see(planes.flip(axis)).flip(axis) for axis in axes)]
    found = mean_over_views(see, planes, views_of(name))
    torch.testing.assert_close(found, torch.stack(seen).mean(0), atol=1e-6, rtol=0)
    assert (found - see(planes)).abs().max() > 1e-3


@given(SIZES, st.sampled_from(DIHEDRAL))
def test_every_view_is_undone_exactly(size, view):
    planes = numbered(*size, channels=2)
    assert same(view.undo(view.apply(planes)), planes)
    turned = size[::-1] if view.transposed else size
    assert view.apply(planes).shape[-2:] == turned


@pytest.mark.parametrize("views", [FLIPS, DIHEDRAL])
def test_one_view_after_another_is_a_view_of_the_same_group(views):
    planes = numbered(3, 3)
    results = [view.apply(planes) for view in views]
    for first, second in itertools.product(views, repeat=2):
        both = second.apply(first.apply(planes))
        assert sum(same(both, result) for result in results) == 1


def turning_network(seed=0):
    """A convolution that is far from symmetric, and the sigmoid of it."""
    kernel = torch.randn(1, 2, 3, 3, generator=torch.Generator().manual_seed(seed))

    def see(planes):
        return torch.sigmoid(F.conv2d(planes.float(), kernel, padding=1))[:, 0]

    return see


def by_hand(see, planes):
    """Eight forwards written out: four quarter turns of both sides."""
    seen = []
    for mirror, turns in itertools.product((False, True), range(4)):
        turned = torch.rot90(planes.flip(-1) if mirror else planes, turns, (-2, -1))
        back = torch.rot90(see(turned), -turns, (-2, -1))
        seen.append(back.flip(-1) if mirror else back)
    return torch.stack(seen).mean(dim=0)


@settings(deadline=None, max_examples=25)
@given(SIZES, st.integers(0, 9))
def test_the_mean_is_that_of_eight_forwards_of_any_shape(size, seed):
    planes = torch.randn(2, 2, *size, generator=torch.Generator().manual_seed(seed))
    see = turning_network(seed)
    found = mean_over_views(see, planes, DIHEDRAL)
    assert found.shape == (2, *size)
    torch.testing.assert_close(found, by_hand(see, planes), atol=1e-6, rtol=0)
    if min(size) > 2:
        assert (found - see(planes)).abs().max() > 1e-3


def test_the_mean_is_of_probabilities_not_of_logits():
    """Probabilities 0.98 and 0.5 have mean 0.74; their logits' mean says 0.88."""
    planes = torch.tensor([[[[4.0, 0.0]]]])

    def see(planes):
        first = planes[:, :, :, :1].expand_as(planes)
        return torch.sigmoid(first[:, 0])

    found = mean_over_views(see, planes, FLIPS)
    expected = (torch.sigmoid(torch.tensor(4.0)) + 0.5) / 2
    assert found.flatten().tolist() == pytest.approx([float(expected)] * 2)


@pytest.mark.parametrize("views", [FLIPS, DIHEDRAL])
def test_an_equivariant_network_says_the_same_with_and_without(views):
    generator = torch.Generator().manual_seed(1)
    kernel = torch.randn(1, 2, 3, 3, generator=generator)
    symmetric = sum(view.apply(kernel) for view in DIHEDRAL) / 8

    def see(planes):
        return torch.sigmoid(F.conv2d(planes, symmetric, padding=1))[:, 0]

    planes = torch.randn(1, 2, 9, 6, generator=generator)
    found = mean_over_views(see, planes, views)
    torch.testing.assert_close(found, see(planes), atol=1e-6, rtol=0)


def test_a_single_view_changes_no_bit():
    planes = torch.randn(2, 2, 5, 8, generator=torch.Generator().manual_seed(2))
    see = turning_network()
    assert same(mean_over_views(see, planes, views_of("none")), see(planes))


def test_half_precision_is_added_up_in_single():
    """A mean in float16 of 8 such values would lose the last digits."""
    planes = torch.zeros(1, 1, 4, 4)
    values = iter(torch.tensor([0.3333, *[0.0001] * 7], dtype=torch.float16))
    shown = []

    def see(_):
        shown.append(float(next(values)))
        return torch.full((1, 4, 4), shown[-1], dtype=torch.float16)

    found = mean_over_views(see, planes, DIHEDRAL)
    assert found.dtype == torch.float32
    assert float(found[0, 0, 0]) == pytest.approx(sum(shown) / 8, rel=1e-6)


def test_a_buffer_that_the_network_uses_again_is_left_alone():
    buffer = torch.full((1, 4, 4), 0.5)
    found = mean_over_views(lambda _: buffer, torch.zeros(1, 1, 4, 4), DIHEDRAL)
    assert (buffer == 0.5).all()
    assert (found == 0.5).all()


def test_views_are_seen_one_after_the_other():
    batches = []

    def see(planes):
        batches.append(planes.shape)
        return planes[:, 0].float()

    mean_over_views(see, torch.zeros(3, 2, 4, 6), DIHEDRAL)
    assert batches == [(3, 2, 4, 6)] * 4 + [(3, 2, 6, 4)] * 4
