"""Compiles a network for its training steps (torch.compile).

Only for these: validation and predictions run as they do everywhere else.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from tenfold.errors import TrainingError

#: Of torch.compile; its default.
BACKEND = "inductor"
#: Networks of one kind share their code, and each counts; torch's own limit is 8.
_MOST_VARIANTS = 64


def compile_network(model: nn.Module) -> None:
    """Compile a network in place, so that no name of its state changes.

    A step may call the network, or one part of it after the other; so both can be.
    Every shape gets code of its own. Code for shapes in general depends on which came
    first, and a resumed run would not compute what the undisturbed one did.
    """
    for part in (model, *model.children()):
        part.compile(backend=BACKEND, dynamic=False)


@contextmanager
def compiling(wanted: bool) -> Iterator[None]:
    """Say what can be done where a network cannot be compiled, or not any more.

    Beyond its limit torch would go on uncompiled, sooner or later after a resumption.

    Raises:
        TrainingError: with the first that the compiler says.
    """
    if not wanted:
        yield
        return
    # It takes a second to import, which only who compiles should wait for.
    from torch._dynamo import config
    from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException

    try:
        with config.patch(
            fail_on_recompile_limit_hit=True, recompile_limit=_MOST_VARIANTS
        ):
            yield
    except (TorchDynamoException, FailOnRecompileLimitHit) as error:
        # The first line may only say which backend it was.
        reason = " ".join(str(error).split("\n")[:2]).strip()
        raise TrainingError(
            f"the network cannot be compiled here ({reason}); set training.compile to"
            " false"
        ) from error


@contextmanager
def uncompiled(compiled: bool) -> Iterator[None]:
    """Run a network as it is, compiled or not."""
    if not compiled:
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield
