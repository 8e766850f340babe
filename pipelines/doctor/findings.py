"""What a check looks at, and what it says."""

import functools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib import metadata
from typing import Literal

import requests

from pipelines.doctor.account import SECONDS, Account
from pipelines.images import ENGINES, Images
from pipelines.plan import steps_of
from pipelines.settings import Settings
from pipelines.targets import profile_of
from tenfold.recipe import Recipe, Resources

#: Answers anybody, with whatever status, where there is a way to Google's APIs.
PROBE = "https://oauth2.googleapis.com/token"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        status: FAIL keeps a run from working; warn may.
        what: was found.
        fix: the one line that mends it.
    """

    status: Literal["ok", "warn", "FAIL", "skipped"]
    what: str
    fix: str = ""


@dataclass(frozen=True)
class Patient:
    """A recipe on its way to a target.

    Attributes:
        target: name of a target.
        recipe: that shall run.
        settings: the user's own cloud and cluster.
        images: that its tasks run in.
        failed: names of checks that did, so far.
    """

    target: str
    recipe: Recipe
    settings: Settings
    images: Images
    failed: set[str] = field(default_factory=set)

    @functools.cached_property
    def profiles(self) -> dict[str, Resources]:
        """What the steps ask for, by the title of the first that asks for it."""
        found: dict[str, Resources] = {}
        for step in steps_of(self.recipe):
            profile = profile_of(self.recipe, step.stage, step.member)
            if profile not in found.values():
                found[step.title] = profile
        return found

    @property
    def engine(self) -> str:
        """The kind of the image that trains."""
        return ENGINES[self.recipe.members[0].engine]

    @property
    def loads_in_parallel(self) -> bool:
        """Whether loader workers hand batches over in shared memory."""
        return any(member.training.workers for member in self.recipe.members)

    @functools.cached_property
    def online(self) -> bool:
        """Whether Google's APIs can be reached; decided once."""
        try:
            requests.head(PROBE, timeout=SECONDS)
        except requests.RequestException:
            return False
        return True

    @functools.cached_property
    def account(self) -> Account:
        """Whoever asks Google Cloud; logged in once, if there is a network."""
        return Account.default(self.online)


@dataclass(frozen=True)
class Check:
    """A look at one thing.

    Attributes:
        name: what is looked at.
        look: yields findings; a `TenfoldError` is one more, a failure.
        needs: name of a check without which this one would only fail again.
        network: it is not done without one.
    """

    name: str
    look: Callable[[Patient], Iterable[Finding]]
    needs: str | None = None
    network: bool = False


def versions(wanted: dict[str, tuple[str, str | None]]) -> Iterable[Finding]:
    """Check installed packages: name → oldest, and the first that is too new."""
    for package, (oldest, too_new) in wanted.items():
        try:
            version = metadata.version(package)
        except metadata.PackageNotFoundError:
            yield Finding("FAIL", f"{package} is not installed", "make run")
            continue
        good = _numbers(version) >= _numbers(oldest)
        if too_new is not None:
            good = good and _numbers(version) < _numbers(too_new)
        if good:
            yield Finding("ok", f"{package} {version}")
        else:
            below = f", below {too_new}" if too_new else ""
            yield Finding(
                "FAIL",
                f"{package} is {version}; it must be {oldest} or later{below}",
                "pip install --require-hashes -r requirements.txt",
            )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])
