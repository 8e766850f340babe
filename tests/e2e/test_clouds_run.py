"""A whole run of clouds: three roles, two rounds."""

import pytest

from tenfold.stages.entries import SCORES
from tenfold.stages.report import headline, read_run
from tests.e2e.smoke import run_smoke


@pytest.mark.slow
def test_the_smoke_recipe_beats_silence_and_full_masks_of_the_right_classes(tmp_path):
    run_smoke("clouds", tmp_path)
    record = read_run(tmp_path / "runs" / "clouds-smoke")
    found = headline(record)
    tuned = record.context.entry(record.of("tune")[-1]).json(SCORES)
    rules = {row["step"]: row["Dice"] for row in tuned["effects"]}
    assert found.honest > rules["rule: all blank"] + 0.1
    assert found.honest > rules["rule: true presence, whole picture"]
    assert found.truth["score"] > rules["rule: true presence, whole picture"]
    assert len(record.of("select")) == 1
    assert "optimistic" in found.optimistic
