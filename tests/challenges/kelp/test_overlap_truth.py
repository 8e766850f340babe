"""The search for near-duplicates on the synthetic coast, against its truth."""

import polars as pl

from tenfold.challenges.kelp import duplicates, reader
from tenfold.challenges.kelp.options import SynthOptions
from tenfold.challenges.kelp.synth import synthesise
from tenfold.grouping.overlap import find_overlaps
from tenfold.grouping.recall import judge_overlaps
from tenfold.recipe import DataOptions


def test_pairs_that_share_land_are_found_and_no_others(tmp_path):
    options = SynthOptions(train=30, test=8, coasts=7, bad_files=False, seed=3)
    synthesise(tmp_path, options)
    options = DataOptions()
    samples = reader.scan(tmp_path / "data", options).samples
    ids = [sample.id for sample in samples]
    views = [duplicates.lattice(reader.pack(s, None, options).arrays) for s in samples]
    result = find_overlaps(views)
    found = pl.DataFrame(
        [(ids[o.a], ids[o.b]) for o in result.overlaps], schema=["a", "b"], orient="row"
    )
    known = pl.read_csv(tmp_path / "truth" / "overlaps.csv")
    judged = judge_overlaps(found, known, ids)
    assert judged["pairs"] >= 20
    assert judged["precision"] >= 0.99
    assert judged["recall"] >= 0.99
    shifts = {
        (row["tile_a"], row["tile_b"]): (row["row_shift"], row["col_shift"])
        for row in known.iter_rows(named=True)
    }
    for overlap in result.overlaps:
        a, b = ids[overlap.a], ids[overlap.b]
        shift = (overlap.row_shift, overlap.col_shift)
        assert shifts.get((a, b)) == shift or shifts.get((b, a)) == tuple(
            -s for s in shift
        )
    sea = [ids[i] for i in result.featureless]
    aoi = dict(
        pl.read_csv(tmp_path / "truth" / "aoi.csv").select("tile_id", "coast").rows()
    )
    assert len({aoi[id_] for id_ in sea}) == len(sea), "open sea has no revisits"
