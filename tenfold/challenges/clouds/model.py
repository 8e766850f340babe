"""A clouds member as a learning task of the PyTorch engine."""

from typing import cast

from tenfold.challenges.clouds.classifier import ClassifierTask
from tenfold.challenges.clouds.options import CloudsClassifier, CloudsSegmenter
from tenfold.challenges.clouds.segmenter import SegmenterTask
from tenfold.recipe import Member, Recipe


def task(recipe: Recipe, member: Member) -> SegmenterTask | ClassifierTask:
    """Return the member as a task; the recipe's other parts do not matter."""
    del recipe
    if isinstance(member, CloudsClassifier):
        return ClassifierTask(member)
    return SegmenterTask(cast(CloudsSegmenter, member))
