from tests.contract.contract import ChallengeContract


class TestKelp(ChallengeContract):
    challenge = "kelp"
    settings = (
        "synth.train=12",
        "synth.test=4",
        "synth.coasts=5",
        "data.shard_samples=3",
        "split.k=2",
        "members.0.training.epochs=2",
        "members.0.training.samples_per_epoch=8",
        "members.0.training.batch=4",
        "members.0.training.picture_epochs=[1]",
        "members.1.training.epochs=1",
        "members.1.training.samples_per_epoch=8",
        "members.1.training.batch=4",
        "members.1.training.picture_epochs=[]",
    )
    other_tune = "tune.invalid=keep"
    other_member = ("unet-z-score", "members.unet-z-score.training.learning_rate=0.001")
