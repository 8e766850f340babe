"""Exact overlap matching on generated coasts whose overlaps are known."""

from dataclasses import dataclass

import numpy as np
import pytest

from tenfold.errors import RecipeError, SourceError
from tenfold.grouping.keypoints import find_keypoints
from tenfold.grouping.lattices import OverlapOptions
from tenfold.grouping.overlap import compare, find_overlaps

SIDE = 350
NODATA = -32768


def coast(rng, size=1024, relief=120.0, slope=2.0, sea=0.5, nodata=0.1):
    """Generate one coast by spectral synthesis: integer metres, sea 0, NODATA offshore.

    A field with power spectrum frequency^-2slope is fractal terrain (Saupe 1988); its
    lowest parts are sea, and patches of the sea have no data.
    """
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    frequency[0, 0] = np.inf
    noise = np.fft.rfft2(rng.standard_normal((size, size)))
    field = np.fft.irfft2(noise * frequency**-slope, s=(size, size))
    field /= field.std()
    height = np.maximum(0, (field - np.quantile(field, sea)) * relief)
    height = np.round(height).astype(np.int16)
    patches = np.fft.irfft2(noise[::-1] * frequency**-slope, s=(size, size))
    empty = patches < np.quantile(patches, 2 * nodata)
    height[empty & (field < np.quantile(field, sea / 2))] = NODATA
    return height


@dataclass
class Tiles:
    """Crops of coasts, with the truth: world and corner of each crop."""

    values: list
    world: np.ndarray
    corner: np.ndarray

    def __len__(self):
        return len(self.values)

    def __getitem__(self, i):
        return self.values[i], self.values[i] != NODATA


def change(tile, rng, share):
    """Change a share of the land pixels to other random heights."""
    changed = (rng.random(tile.shape) < share) & (tile > 0)
    return np.where(changed, tile + rng.integers(1, 40, tile.shape), tile).astype(
        tile.dtype
    )


def crops(coasts, rng, places=3, visits=4, reach=200, changed=0.01):
    """Cut `visits` crops up to `reach` px apart at each of `places` on every coast."""
    values, world, corner = [], [], []
    for number, ground in enumerate(coasts):
        for _ in range(places):
            base = rng.integers(0, ground.shape[0] - SIDE - reach, 2)
            for _ in range(visits):
                row, col = base + rng.integers(0, reach + 1, 2)
                tile = ground[row : row + SIDE, col : col + SIDE]
                values.append(change(tile, rng, changed))
                world.append(number)
                corner.append((row, col))
    return Tiles(values, np.array(world), np.array(corner))


def truth(tiles):
    """Map each truly overlapping pair to its shift and its share of shared land."""
    pairs = {}
    for a in range(len(tiles)):
        for b in range(a + 1, len(tiles)):
            shift = tiles.corner[b] - tiles.corner[a]
            if tiles.world[a] != tiles.world[b] or np.abs(shift).max() >= SIDE:
                continue
            top, left = np.maximum(shift, 0)
            bottom, right = SIDE + np.minimum(shift, 0)
            land = np.count_nonzero(tiles.values[a][top:bottom, left:right] > 0)
            pairs[a, b] = (int(shift[0]), int(shift[1])), land / SIDE**2
    return pairs


def scores(tiles, result):
    """Return pairwise precision (right shift required) and recall (>= 10 % land)."""
    pairs = truth(tiles)
    found = {(o.a, o.b): (o.row_shift, o.col_shift) for o in result.overlaps}
    right = sum(key in pairs and pairs[key][0] == at for key, at in found.items())
    wanted = [key for key, (_, land) in pairs.items() if land >= 0.1]
    hit = sum(found.get(key) == pairs[key][0] for key in wanted)
    return right / max(1, len(found)), hit / max(1, len(wanted)), len(wanted)


@pytest.fixture(scope="module")
def coasts():
    rng = np.random.default_rng(5)
    kinds = [(120.0, 2.0, 0.4), (120.0, 2.0, 0.8), (300.0, 1.6, 0.6), (20.0, 2.0, 0.5)]
    return [
        coast(rng, 768, relief, slope, sea=sea, nodata=0.15)
        for relief, slope, sea in kinds
    ]


@pytest.mark.parametrize("changed", [0.0, 0.01, 0.02])
def test_finds_all_overlaps_with_a_tenth_of_land_and_no_others(coasts, changed):
    tiles = crops(coasts, np.random.default_rng(6), changed=changed)
    precision, recall, wanted = scores(tiles, find_overlaps(tiles))
    assert wanted > 100
    assert precision >= 0.99
    assert recall >= 0.99


@pytest.mark.parametrize("shift", [0, 1, 17, 60, 120, 200])
def test_finds_the_exact_shift_in_every_direction(coasts, shift):
    rng = np.random.default_rng(shift)
    corners = [(209, 209)]
    corners += [(209 + shift * y, 209 + shift * x) for y in (-1, 0, 1) for x in (-1, 1)]
    ground = coasts[0]
    values = [
        change(ground[row : row + SIDE, col : col + SIDE], rng, 0.01)
        for row, col in corners
    ]
    tiles = Tiles(values, np.zeros(len(corners), int), np.array(corners))
    precision, recall, wanted = scores(tiles, find_overlaps(tiles))
    assert wanted >= 6
    assert (precision, recall) == (1.0, 1.0)


def test_reports_where_b_lies_in_a_and_how_well_it_agrees(coasts):
    ground = coasts[2]
    values = [ground[10:360, 20:370], ground[110:460, 50:400]]
    tiles = Tiles(values, np.zeros(2, int), np.array([(10, 20), (110, 50)]))
    (overlap,) = find_overlaps(tiles).overlaps
    assert (overlap.a, overlap.b) == (0, 1)
    assert (overlap.row_shift, overlap.col_shift) == (100, 30)
    assert overlap.agreement == 1.0
    assert overlap.overlap_share == pytest.approx(250 * 320 / SIDE**2)
    assert overlap.shared == np.count_nonzero(ground[110:360, 50:370] > 0)
    assert 0 < overlap.distinctive <= overlap.shared
    assert find_overlaps(tiles).edges().tolist() == [[0, 1]]


def plateaus(rng, step):
    """Build a blocky landscape: flat terraces on a coarse lattice of few heights."""
    blocks = rng.integers(0, 4, (SIDE // step + 1, SIDE // step + 1)) * 10
    return np.kron(blocks, np.ones((step, step), int))[:SIDE, :SIDE].astype(np.int16)


def test_flat_and_repetitive_ground_matches_nothing():
    rng = np.random.default_rng(8)
    sea = np.zeros((SIDE, SIDE), np.int16)
    plateau = np.full((SIDE, SIDE), 7, np.int16)
    ramp = np.repeat(np.arange(SIDE, dtype=np.int16)[:, None], SIDE, axis=1)
    half = plateau.copy()
    half[:, :175] = 0
    nowhere = np.full((SIDE, SIDE), NODATA, np.int16)
    flat = [sea, plateau, ramp, half, nowhere]
    noisy = [change(tile, rng, 0.02) for tile in (plateau, plateau, half, half)]
    blocky = [plateaus(rng, step) for step in (50, 50, 30, 30, 11, 11)]
    values = flat * 2 + noisy + blocky
    tiles = Tiles(values, np.arange(len(values)), np.zeros((len(values), 2), int))
    result = find_overlaps(tiles)
    assert result.overlaps == ()
    assert result.featureless[:10] == tuple(range(10))
    assert result.edges().shape == (0, 2)


def test_invalid_pixels_neither_match_nor_disagree(coasts):
    ground = coasts[2][:SIDE, :SIDE]
    other = coasts[3][:SIDE, :SIDE]

    class Masked:
        def __len__(self):
            return 3

        def __getitem__(self, i):
            left = np.arange(SIDE) < 175
            valid = np.broadcast_to(left, (SIDE, SIDE)) if i < 2 else ~(ground > -9999)
            return np.where(left, ground, other) if i == 0 else ground, valid

    result = find_overlaps(Masked())
    assert [(o.a, o.b, o.agreement) for o in result.overlaps] == [(0, 1, 1.0)]
    assert result.featureless == (2,)


def test_more_visits_than_a_bucket_holds_still_make_one_chain(coasts):
    tiles = crops(coasts[2:3], np.random.default_rng(9), places=1, visits=9, reach=40)
    options = OverlapOptions(max_bucket=2)
    pairs = find_overlaps(tiles, options).edges()
    assert set(pairs.ravel().tolist()) == set(range(9))
    # A window that changed in one visit lets that visit be passed over: a few pairs
    # reach past the next two, but never all 36 do.
    assert {(i, i + 1) for i in range(8)} <= {tuple(pair) for pair in pairs.tolist()}
    assert len(find_overlaps(tiles).overlaps) == 36


@pytest.mark.parametrize(("side", "strip"), [(40, 250), (160, 60)])
def test_a_patch_copied_from_elsewhere_does_not_hide_the_shift(coasts, side, strip):
    ground = coasts[2]
    a = ground[:SIDE, :SIDE]
    b = ground[:SIDE, SIDE - strip : 2 * SIDE - strip].copy()
    # The larger patch outvotes the narrow true overlap, but does not verify.
    b[100 : 100 + side, -side:] = a[:side, :side]
    tiles = Tiles([a, b], np.zeros(2, int), np.array([(0, 0), (0, SIDE - strip)]))
    (overlap,) = find_overlaps(tiles).overlaps
    assert (overlap.row_shift, overlap.col_shift) == (0, SIDE - strip)
    outvoted = find_overlaps(tiles, OverlapOptions(max_shifts=1)).overlaps == ()
    assert outvoted == (side == 160)


def test_counting_votes_in_pieces_changes_nothing(coasts, monkeypatch):
    tiles = crops(coasts[:2], np.random.default_rng(10), places=2)
    whole = find_overlaps(tiles)
    monkeypatch.setattr("tenfold.grouping.votes._VOTES_AT_ONCE", 500)
    assert find_overlaps(tiles) == whole


def test_progress_counts_every_lattice_twice_and_ends_at_the_total(coasts):
    tiles = crops(coasts[:1], np.random.default_rng(11), places=1)
    seen = []
    find_overlaps(tiles, on_progress=lambda done, total: seen.append((done, total)))
    assert seen[:4] == [(1, 8), (2, 8), (3, 8), (4, 8)]
    assert seen[-1] == (8, 8)


def test_keypoints_of_a_crop_are_those_of_the_whole(coasts):
    whole, part = coasts[2], coasts[2][100:400, 50:350]
    options = OverlapOptions()

    def keypoints(ground, row_from, col_from):
        found = find_keypoints(ground, ground != NODATA, options)
        hashes, rows, cols = (array.tolist() for array in found)
        return {
            hash_: (row + row_from, col + col_from)
            for hash_, row, col in zip(hashes, rows, cols, strict=True)
        }

    of_whole = keypoints(whole, 0, 0)
    # At the rim of the crop a window has fewer rivals, so look away from it.
    inner = {
        hash_: (row, col)
        for hash_, (row, col) in keypoints(part, 100, 50).items()
        if 104 <= row < 400 - 11 and 54 <= col < 350 - 11
    }
    kept = [of_whole.get(hash_) == place for hash_, place in inner.items()]
    assert len(kept) > 300
    # Not all: a window may repeat elsewhere in the whole.
    assert np.mean(kept) > 0.99


def test_lattices_of_several_sizes_and_types_match(coasts):
    ground = coasts[2]
    values = [
        ground[:300, :400].astype(np.int64),
        ground[100:350, 60:500].astype(np.int32),
        ground[:5, :5],
    ]
    tiles = Tiles(values, np.zeros(3, int), np.array([(0, 0), (100, 60), (0, 0)]))
    result = find_overlaps(tiles)
    assert [(o.row_shift, o.col_shift) for o in result.overlaps] == [(100, 60)]
    assert result.featureless == (2,)


def test_comparing_at_a_hand_made_shift():
    a = np.array([[1, 2, 3], [4, 5, 0], [7, 8, 0]])
    b = np.array([[5, 0, 9], [8, 0, 9], [9, 9, 9]])
    everywhere = np.ones((3, 3), bool)
    assert compare((a, everywhere), (b, everywhere), (1, 1)) == (2, 2, 1.0, 4 / 9)
    without_eight = a != 8
    assert compare((a, without_eight), (b, everywhere), (1, 1))[:3] == (1, 1, 1.0)
    assert compare((a, everywhere), (b, everywhere), (3, 0)) == (0, 0, 0.0, 0.0)


def test_no_lattices_have_no_overlaps():
    tiles = Tiles([], np.zeros(0, int), np.zeros((0, 2), int))
    assert find_overlaps(tiles).overlaps == ()


@pytest.mark.parametrize(
    ("values", "valid", "words"),
    [
        (np.zeros((9, 9)), np.ones((9, 9), bool), "float64; exact matching needs"),
        (np.zeros((9, 9), int), np.ones((9, 8), bool), r"\(9, 9\) and mask \(9, 8\)"),
        (np.zeros((1, 2**15), int), np.ones((1, 2**15), bool), "below 32768 pixels"),
    ],
    ids=["float", "mask", "huge"],
)
def test_a_lattice_of_another_kind_is_refused(values, valid, words):
    with pytest.raises(SourceError, match=words):
        find_overlaps([(values, valid)])


@pytest.mark.parametrize(
    "option",
    [{"window": 1}, {"spacing": 0}, {"min_votes": 0}, {"min_agreement": 1.5}],
)
def test_options_that_could_find_nothing_are_refused(option):
    with pytest.raises(RecipeError, match=next(iter(option))):
        OverlapOptions(**option)
