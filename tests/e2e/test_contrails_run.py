"""A whole run of contrails: TFRecord shards, a Keras network, a threshold of all."""

import pytest

from tenfold.stages.report import headline, read_run
from tests.e2e.smoke import run_smoke


@pytest.mark.slow
def test_the_smoke_recipe_beats_any_threshold_on_brightness(tmp_path):
    run_smoke("contrails", tmp_path)
    record = read_run(tmp_path / "runs" / "contrails-smoke")
    found = headline(record)
    # Both were chosen without the fold that they are scored on.
    assert found.honest > found.baseline + 0.2
    assert found.truth["score"] > found.baseline + 0.2
    again = run_smoke("contrails", tmp_path)
    assert "nothing to do" in again
