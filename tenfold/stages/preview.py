"""preview: which predictions a person should look at, and what looks odd."""

import polars as pl

from tenfold.data.dataset import Dataset, write_table
from tenfold.data.files import write_json
from tenfold.stages.context import Context, Reference, section
from tenfold.stages.entries import GALLERY, PREDICTIONS
from tenfold.store import Workspace

PARTS = ("drawing",)


def run(context: Context, dataset: Reference, submission: Reference) -> Reference:
    """Choose informative samples and compare with the training distribution."""
    data = context.entry(dataset, "ingest")
    submitted = context.entry(submission, "submit")
    options = context.recipe.preview
    drawing = context.challenge.drawing

    def work(workspace: Workspace) -> None:
        catalogue = Dataset(data.path)
        table = pl.read_parquet(submitted.path / PREDICTIONS)
        # What both have is of the prediction: test samples have no label.
        known = [name for name in table.columns if name != "id"]
        test = table.join(catalogue.rows("test").drop(known, strict=False), on="id")
        content = {
            "samples": list(drawing.choose(test, options.samples).items()),
            "comparison": drawing.comparison(test, catalogue.rows("train")),
            "warnings": drawing.warnings(test, catalogue.rows("train")),
        }
        write_json(workspace.path / GALLERY, content)
        write_table(workspace.path / PREDICTIONS, test)

    inputs = {"dataset": data.address, "submission": submitted.address}
    return context.build("preview", "preview", inputs, section(options), PARTS, work)
