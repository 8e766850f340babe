"""A contrails data set of a few small records, made by hand, to be spoilt by a test."""

import json

import numpy as np
import pytest

TRAIN = ("1000216489776414077", "1000603527582775543", "17")
VALIDATION = ("1000834164244036115", "1002653297254493116")
TEST = ("1704010292581573769", "9223372036854775807")
SIDE, ANNOTATORS = 32, 5
#: UTM zone 16: its central meridian is 87° W.
WKT = (
    'PROJCS["WGS 84 / UTM zone 16N",GEOGCS["WGS 84",DATUM["WGS_1984",'
    'SPHEROID["WGS 84",6378137,298.257223563]],PRIMEM["Greenwich",0],'
    'UNIT["degree",0.0174532925199433]],PROJECTION["Transverse_Mercator"],'
    'PARAMETER["latitude_of_origin",0],PARAMETER["central_meridian",-87],'
    'PARAMETER["scale_factor",0.9996],PARAMETER["false_easting",500000],'
    'PARAMETER["false_northing",0],UNIT["metre",1],AXIS["Easting",EAST],'
    'AXIS["Northing",NORTH]]'
)


class HandMade:
    """Records with random bands, and masks of which something is known."""

    def __init__(self, root):
        self.root, self.entries = root, {}
        rng = np.random.default_rng(7)
        for part, ids in (("train", TRAIN), ("validation", VALIDATION), ("test", TEST)):
            for id_ in ids:
                self.add(part, id_, rng)
            self.entries[part] = [self.entry(id_) for id_ in ids]
        self.tabulate()

    def add(self, part, id_, rng, side=SIDE):
        folder = self.root / part / id_
        folder.mkdir(parents=True)
        for band in range(8, 17):
            kelvin = rng.normal(270, 12, (side, side, 8)).astype(np.float32)
            np.save(folder / f"band_{band:02d}.npy", kelvin)
        marked = rng.random((side, side, 1, ANNOTATORS)) < 0.45
        if part == "train":
            np.save(folder / "human_individual_masks.npy", marked.astype(np.int32))
        if part != "test":
            # More than half of five are three.
            agreed = (marked.sum(axis=-1) >= 3).astype(np.int32)
            np.save(folder / "human_pixel_masks.npy", agreed)

    @staticmethod
    def entry(id_):
        return {
            "record_id": id_,
            "timestamp": 1_560_000_000,
            "projection_wkt": WKT,
            "row_min": 3_000_000.0,
            "row_size": 512_000.0,
            "col_min": 244_000.0,
            "col_size": 512_000.0,
        }

    def file(self, part, id_, name):
        return self.root / part / id_ / f"{name}.npy"

    def read(self, part, id_, name):
        return np.load(self.file(part, id_, name))

    def replace(self, part, id_, name, array):
        np.save(self.file(part, id_, name), array)
        return self

    def tabulate(self, rows=TEST, header="record_id,encoded_pixels"):
        for part in ("train", "validation"):
            text = json.dumps(self.entries[part])
            (self.root / f"{part}_metadata.json").write_text(text)
        lines = [header, *(f"{id_},-" for id_ in rows), ""]
        (self.root / "sample_submission.csv").write_text("\n".join(lines))
        return self


@pytest.fixture
def made(tmp_path):
    return HandMade(tmp_path / "data")
