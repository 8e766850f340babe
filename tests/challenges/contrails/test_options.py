"""What recipes of contrails may ask for, and what they are told where they may not."""

import pytest

from tenfold.challenges import load_recipe
from tenfold.challenges.contrails.options import ASH, ContrailsData
from tenfold.errors import RecipeError


@pytest.mark.parametrize(
    ("options", "times", "labelled"),
    [
        ({"frames": 1}, [4], 0),
        ({"frames": 3}, [3, 4, 5], 1),
        ({"frames": 5}, [2, 3, 4, 5, 6], 2),
        ({"frames": 4, "before": 3}, [1, 2, 3, 4], 3),
        ({"frames": 7}, [1, 2, 3, 4, 5, 6, 7], 3),
        ({"frames": 8}, list(range(8)), 4),
    ],
)
def test_frames_lie_around_the_labelled_one_or_before_it(options, times, labelled):
    data = ContrailsData(**options)
    assert list(data.times) == times
    assert data.labelled == labelled
    assert times[labelled] == 4


def test_only_the_bands_of_the_channels_are_read():
    data = ContrailsData()
    assert data.bands == (11, 14, 15)
    assert data.reads("train/17/band_11.npy")
    assert not data.reads("train/17/band_08.npy")
    assert not ContrailsData(colours="raw").reads("test/17/band_11.npy")
    for other in ("train_metadata.json", "train/17/human_pixel_masks.npy"):
        assert data.reads(other)


def test_ash_has_the_published_bounds():
    found = [(c.band, c.less, c.low, c.high) for c in ASH]
    assert found == [(15, 14, -4, 2), (14, 11, -4, 5), (14, None, 243, 303)]


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("data={frames: 8, before: 3}", "frames 1 to 8; there are 0 to 7"),
        ("members.unet.net.head=plain", "a mirrored view lies a pixel off"),
        ("data.before=3", "the labelled frame must be among those kept"),
        ("data.side=100", "multiple of 32"),
        ("data.colours=[]", "name at least one channel"),
        ("data.colours=[{band: 7, low: 1, high: 2}]", "greater than or equal to 8"),
        ("data.colours=[{band: 8, low: 2, high: 2}]", "low must be below high"),
        ("members.unet.net.backbone=p3d", "a p3d network sees all"),
        ("members.unet.net.architecture=deeplab", "deeplab has resnet50 or p3d"),
        ("members.unet.input.frames=all", "only p3d networks see more than one"),
        ("members.unet.net.weights=x.h5", "there are none for backbone own"),
        ("members.unet.inference.window=64", "has no sliding windows"),
        ("members.unet.engine=torch", "keras"),
        ("members.unet.training.precision=16-true", "keras has 32-true, 16-mixed"),
        ("members.unet.training.swa={}", "keras has none; use ema"),
        ("members.unet.loss={bce: 0}", "give bce or dice a weight"),
        ("split.method=published", "set k to 1"),
        ("split.k=1", "at least 2 folds"),
        ("synth.revisits=17", "revisits are among the validation records"),
    ],
)
def test_what_cannot_be_is_refused_in_words(setting, words):
    with pytest.raises(RecipeError, match=words):
        load_recipe("contrails", "smoke", [setting])


def test_a_symmetric_head_needs_samples_that_stay():
    settings = ["members.unet.augment.level=full", "members.unet.augment.share=1"]
    with pytest.raises(RecipeError, match=r"augment\.share: the last layer"):
        load_recipe("contrails", "smoke", settings)
