"""Refuses a machine that is not what a task's profile asks for."""

from tenfold.errors import TrainingError
from tenfold.recipe import Resources


def check_device(profile: Resources, label: str) -> None:
    """Refuse to go on without the GPU that a profile asks for.

    Raises:
        TrainingError: saying which task wants what.
    """
    if profile.gpu is None:
        return
    # Only who asks for a GPU has a framework to find it with.
    import torch

    if not torch.cuda.is_available():
        raise TrainingError(
            f"{label}: its profile asks for {profile.gpu}, and this machine has no"
            " GPU; run it where there is one, or set the profile's gpu to null and"
            " gpus to 0"
        )
