"""Says of every command of the pages how it is tested, and why not in another way.

What is executed, `Reader` types in a folder with a small finished run (conftest.py).
"""

import re
from dataclasses import dataclass
from typing import Literal

#: executed: here, by the tests. slow: likewise, by `make test-slow` alone. dry: with
#: --dry-run for --wait, which makes all that is sent. parsed: by the verb's own parser,
#: its recipe and overrides too. tested: by another test, which is named. outside: by
#: nobody.
How = Literal["executed", "slow", "dry", "parsed", "tested", "outside", "none"]


@dataclass(frozen=True)
class Rule:
    """How the commands are tested that a pattern matches whole.

    Attributes:
        pattern: of a command; `.venv/bin/` and `NAME=value` before it are cut off.
        how: see `How`.
        why: it is not executed; of `tested`, the test's file or id.
        codes: with which an executed command may end.
    """

    pattern: str
    how: How
    why: str
    codes: tuple[int, ...] = (0,)

    def matches(self, typed: str) -> bool:
        return re.fullmatch(self.pattern, typed) is not None


_NO_GPU = "its recipe asks for GPUs and for weights that are not here"
_GOOGLE = "asks Google Cloud or a cluster; tests/pipelines has servers that record"
_SENT = "sent to a platform; tests/pipelines has servers that record"
_LINKS = "fetches from the competition's host; tests/data has servers that do that"
_THEIRS = "another project's program, which talks to a service"

RULES = (
    # Whole runs, images, clusters.
    Rule(
        r"tenfold run .*--recipe (winning|baseline|published|tenfold).*",
        "parsed",
        _NO_GPU,
    ),
    Rule(r"tenfold run \w+ --target docker", "tested", "tests/e2e/test_docker_run.py"),
    Rule(r"tenfold sweep kelp --sweep smoke", "slow", "four trainings"),
    Rule(r"tenfold run kelp --recipe \S+/mixed.yaml", "slow", "six trainings"),
    Rule(r"tenfold bench kelp --recipe winning.*", "parsed", _NO_GPU),
    Rule(r"tenfold bench kelp --recipe smoke", "tested", "tests/stages/test_bench.py"),
    Rule(r"make bench", "outside", "half an hour; its parts are tested"),
    Rule(r"python -m benchmarks.*", "tested", "tests/benchmarks/test_scripts.py"),
    Rule(r"make test(-slow)?", "outside", "these are the tests"),
    Rule(r"make (images|e2e-docker)", "tested", "tests/e2e/test_docker_run.py"),
    Rule(r"make kind-\w+( CLUSTER=minikube)?", "tested", "tests/infra/test_kind.py"),
    Rule(r"infra/kind/forward &", "tested", "tests/infra/test_kind.py"),
    Rule(r"make pin", "tested", "tests/infra/test_builds.py"),
    Rule(r"python containers/pin.py .*", "tested", "tests/infra/test_builds.py"),
    # Other places.
    Rule(r"python pipelines/submit.py .*", "dry", _SENT),
    Rule(r"tenfold images (build|push).*", "parsed", "needs a Docker engine"),
    Rule(r"tenfold doctor .*--target (vertex|kubeflow).*", "parsed", _GOOGLE),
    Rule(r"tenfold doctor .*--recipe winning.*", "executed", "", (0, 1)),
    Rule(r"tenfold resume (tenfold-kelp-\S+|RUN).*", "parsed", _GOOGLE),
    Rule(r"tenfold prices fetch .*", "parsed", _GOOGLE),
    Rule(r"tenfold fetch CHALLENGE .*", "outside", "a word to be replaced"),
    Rule(r"tenfold fetch (?!.*--dry-run).*", "parsed", _LINKS),
    # Programs of others.
    Rule(r"(gcloud|kubectl|curl) .*", "outside", _THEIRS),
    Rule(r"terraform .*", "outside", f"{_THEIRS}; tests/infra reads what it reads"),
    Rule(r"cd infra/terraform", "outside", "where terraform is called"),
    Rule(
        r"cp terraform\S+ terraform.tfvars", "tested", "tests/infra/test_terraform.py"
    ),
    Rule(r"(hf download|pip install) .*", "outside", _THEIRS),
    Rule(r"tensorboard --logdir \S+", "outside", "serves until it is stopped"),
    # All the rest.
    Rule(r"tenfold .*", "executed", ""),
    Rule(r"python pipelines/compile.py", "executed", ""),
    Rule(r"make run", "executed", ""),
    Rule(r"export .*", "executed", ""),
    Rule(r"\(?cd weights && sha256sum \*.safetensors > SHA256SUMS\)?", "executed", ""),
    Rule(r"mv /tmp/w/\S+ weights/\S+", "executed", ""),
    Rule(r"install -m 600 /dev/stdin token", "executed", ""),
)
NONE = Rule("", "none", "")


def rule_of(typed: str) -> Rule:
    """Return the first rule that matches, or NONE."""
    return next((rule for rule in RULES if rule.matches(typed)), NONE)
