from tests.contract.contract import ChallengeContract

MEMBERS = ("where", "shape", "which", "which-pl")


class TestClouds(ChallengeContract):
    challenge = "clouds"
    settings = (
        "synth.train=12",
        "synth.test=4",
        "synth.twins=1",
        "data.size=[64, 96]",
        "data.shard_samples=3",
        "split.k=2",
        # Whatever so short a training says is sure enough.
        "pseudo.low=1.0",
        "pseudo.high=0.0",
        *(
            f"members.{name}.training.{setting}"
            for name in MEMBERS
            for setting in (
                "epochs=1",
                "samples_per_epoch=8",
                "batch=4",
                "validate_every=1",
            )
        ),
        "members.where.training.picture_epochs=[1]",
        *(f"members.{name}.training.picture_epochs=[]" for name in MEMBERS[1:]),
    )
    other_tune = "tune.pixel_cuts=[0.3]"
    other_member = ("which", "members.which.training.learning_rate=0.001")
