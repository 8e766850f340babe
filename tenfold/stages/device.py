"""Refuses a machine that is not what a task's profile asks for."""

from collections.abc import Iterable

from tenfold.errors import TrainingError
from tenfold.recipe import Resources
from tenfold.training.engines import find_engine


def check_device(profile: Resources, label: str, engines: Iterable[str]) -> None:
    """Refuse to go on without the GPU that a profile asks for.

    Args:
        profile: of the task.
        label: what a person calls it.
        engines: that have to see the GPU.

    Raises:
        TrainingError: saying which task wants what.
    """
    # Only who asks for a GPU has a framework to find it with.
    if profile.gpu is None or all(find_engine(name).has_gpu() for name in engines):
        return
    raise TrainingError(
        f"{label}: its profile asks for {profile.gpu}, and this machine has no"
        " GPU; run it where there is one, or set the profile's gpu to null and"
        " gpus to 0"
    )
