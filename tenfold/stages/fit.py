"""fit: the training itself, one model on one fold, kept apart from its predictions.

Predicting the held-out samples again, with other views or another precision, is
minutes of work; training is hours. So what is learnt has an entry of its own, and a
recipe that changes only a member's `inference` finds it there.
"""

from collections.abc import Sequence

from tenfold.data.files import write_json
from tenfold.stages.context import Context
from tenfold.stages.entries import MODEL, WEIGHTS
from tenfold.stages.fold import FoldJob
from tenfold.store import Entry, Workspace
from tenfold.training.engines import Resume

PARTS = ("model", "scoring")


def fit(
    context: Context, job: FoldJob, label: str, pictured: Sequence[str], resume: Resume
) -> Entry:
    """Return the entry of a trained member, training it if it is not there.

    Args:
        context: recipe and store.
        job: the member and the fold.
        label: what a person calls the task.
        pictured: held-out samples whose outputs are kept at chosen epochs.
        resume: what to do about a checkpoint.
    """

    def work(workspace: Workspace) -> None:
        finished = job.fit(workspace, resume, pictured)
        used = finished.files[job.member.training.weights]
        description = finished.description | {
            "name": job.member.name,
            "role": job.member.role,
            "fold": job.fold,
            "engine": job.member.engine,
            "weights": f"{WEIGHTS}/{used.name}",
        }
        write_json(workspace.path / MODEL, description)

    inputs, options, engines = job.inputs, job.options, [job.member.engine]
    made = context.build("fit", label, inputs, options, PARTS, work, engines=engines)
    return context.entry(made)
