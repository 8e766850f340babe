"""prepare: raw data to folds, for whoever trains outside the graph."""

from tenfold.stages import group, ingest, split
from tenfold.stages.context import Context, Reference


def run(context: Context, source: str) -> tuple[Reference, Reference]:
    """Return the data set and the folds of a recipe, from the store or made now.

    Args:
        context: recipe and store.
        source: raw data.
    """
    dataset = ingest.run(context, source)
    groups = group.run(context, dataset)
    return dataset, split.run(context, dataset, groups)
