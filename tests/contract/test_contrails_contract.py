from tests.contract.contract import ChallengeContract


class TestContrails(ChallengeContract):
    challenge = "contrails"
    settings = (
        "synth.train=8",
        "synth.validation=4",
        "synth.test=4",
        "synth.revisits=2",
        "synth.side=64",
        "data.side=64",
        "data.shard_samples=3",
        "members.unet.net.widths=[4, 8]",
        "members.unet.training.epochs=1",
        "members.unet.training.batch=2",
        "members.unet.training.validate_every=1",
        "members.unet.training.picture_epochs=[1]",
    )
    other_tune = "tune.step=0.1"
    other_member = ("unet", "members.unet.training.learning_rate=0.001")
