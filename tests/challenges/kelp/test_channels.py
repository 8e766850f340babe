"""Which pixels of a channel count: gaps, faulty pixels, land and unknown depth."""

import numpy as np
import pytest
import torch

from tenfold.challenges.kelp.channels import planes, spectral_valid, wanted
from tenfold.challenges.kelp.masking import BINARY, Masking

GAP = -32768
NONE = Masking(qa=False, water=False)
#: One pixel of each kind, in a row.
CLEAR, FAULTY, LAND, BELOW, UNKNOWN, NO_RED = range(6)


@pytest.fixture
def raw():
    row = np.full((7, 1, 6), 9000, np.int32)
    row[1] = 12000
    row[5:] = 0
    row[5, 0, FAULTY] = 1
    row[6, 0, LAND] = 31
    row[6, 0, BELOW] = -2
    row[6, 0, UNKNOWN] = GAP
    row[2, 0, NO_RED] = GAP
    return row


def counted(raw, name, masking, xp=np):
    """Say which pixels of the row count for one channel."""
    if xp is torch:
        made = planes(
            torch.from_numpy(raw), [name], masking, torch, lambda p: p.float()
        )
    else:
        made = planes(raw, [name], masking, np, lambda p: p.astype(np.float32))
    ((_, counts),) = made
    return {int(c) for c in np.flatnonzero(np.asarray(counts)[0])}


ALL = {CLEAR, FAULTY, LAND, BELOW, UNKNOWN, NO_RED}


@pytest.mark.parametrize("xp", [np, torch])
@pytest.mark.parametrize(
    ("masking", "left_out"),
    [
        (NONE, {NO_RED}),
        (Masking(qa=True, water=False), {NO_RED, FAULTY}),
        (Masking(qa=False, water=True), {NO_RED, LAND}),
        (Masking(qa=True, water=True), {NO_RED, FAULTY, LAND}),
        (
            Masking(qa=True, water=True, unknown_is_land=True),
            {NO_RED, FAULTY, LAND, UNKNOWN},
        ),
        # The slip is one of the mask of land; without it there is nothing to slip.
        (Masking(qa=False, water=False, unknown_is_land=True), {NO_RED}),
    ],
)
def test_an_index_counts_where_it_is_not_masked(raw, xp, masking, left_out):
    assert counted(raw, "NDVI", masking, xp) == ALL - left_out


@pytest.mark.parametrize("masking", [NONE, Masking(), Masking(unknown_is_land=True)])
def test_bands_are_never_masked(raw, masking):
    for band in ("SWIR", "NIR", "G", "B", "QA"):
        assert counted(raw, band, masking) == ALL
    assert counted(raw, "R", masking) == ALL - {NO_RED}
    assert counted(raw, "DEM", masking) == ALL - {UNKNOWN}


@pytest.mark.parametrize("masking", [NONE, Masking(), Masking(unknown_is_land=True)])
def test_water_masks_count_by_their_own_source(raw, masking):
    assert counted(raw, "DEMWM", masking) == ALL - {UNKNOWN}
    assert counted(raw, "NDVIWM", masking) == ALL - {NO_RED}


@pytest.mark.parametrize("band", range(5))
def test_any_missing_spectral_band_takes_the_index_out(raw, band):
    raw[band, 0, CLEAR] = GAP
    # NDVI needs red and near infrared only, but the pixel is a gap all the same.
    assert CLEAR not in counted(raw, "NDVI", NONE)
    assert not spectral_valid(raw)[0, CLEAR]
    assert spectral_valid(raw)[0, UNKNOWN]


def test_planes_come_in_the_order_asked_for_with_their_values(raw):
    made = planes(raw, ["DEM", "NDVI", "B"], NONE, np, lambda p: p.astype(np.float32))
    dem, ndvi, blue = (values for values, _ in made)
    assert dem[0, LAND] == 31
    assert ndvi[0, CLEAR] == pytest.approx(3000 / 21000)
    assert blue[0, CLEAR] == 9000


def test_each_masking_keeps_statistics_of_its_own():
    settings = [
        Masking(qa, water, unknown)
        for qa in (False, True)
        for water in (False, True)
        for unknown in (False, True)
    ]
    keys = {masking.key("NDVI") for masking in settings}
    assert len(keys) == len(settings)
    # Bands and 0/1 channels are not masked, so all models share theirs.
    assert {m.key("NIR") for m in settings} == {"NIR"}
    assert {m.key("DEMWM") for m in settings} == {"DEMWM"}


def test_wanted_joins_models_without_repeating_or_confusing():
    masked, slipped = Masking(), Masking(unknown_is_land=True)
    channels = wanted(
        [
            (("R", "NIR", "QA", "NDVI"), masked),
            (("R", "DEM", "NDVI", "MVI", "DEMWM"), slipped),
            (("NDVI",), masked),
        ]
    )
    assert channels.names == (
        *("R", "NIR", masked.key("NDVI"), "DEM"),
        *(slipped.key("NDVI"), slipped.key("MVI")),
    )
    assert not set(BINARY) & set(channels.names)
