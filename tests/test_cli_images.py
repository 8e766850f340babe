"""What stands for which images on the command line."""

import pytest

from tenfold.challenges import find_challenge
from tenfold.cli.images import images_of
from tenfold.errors import SourceError


@pytest.fixture
def records(tmp_path):
    """Two records of contrails in a folder, beside what is none."""
    for name in ("17", "18"):
        (tmp_path / "test" / name).mkdir(parents=True)
        (tmp_path / "test" / name / "band_11.npy").write_bytes(b"")
    (tmp_path / "test" / "other").mkdir()
    return tmp_path / "test"


def test_a_folder_that_is_a_sample_stands_for_itself(records):
    is_sample = find_challenge("contrails").reader.is_sample
    both = [records / "17", records / "18"]
    assert images_of([str(records / "18")], is_sample) == both[1:]
    assert images_of([str(records)], is_sample) == both
    with pytest.raises(SourceError, match="a folder without files"):
        images_of([str(records / "other")], is_sample)


@pytest.mark.parametrize("challenge", ["kelp", "clouds"])
def test_where_samples_are_files_a_folder_stands_for_those_in_it(records, challenge):
    is_sample = find_challenge(challenge).reader.is_sample
    found = images_of([str(records / "17")], is_sample)
    assert found == [records / "17" / "band_11.npy"]
