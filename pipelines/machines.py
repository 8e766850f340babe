"""Machines and accelerators of Vertex AI training: which go together, and where.

Read in November 2026, from pages of docs.cloud.google.com:

- which machine takes which accelerator, and how many:
  gemini-enterprise-agent-platform/machine-learning/training/configure-compute
- which region has which accelerator for training: LOCATIONS, below; its copy of
  10 April 2026 and a later one agree
- CPUs and memory, and what comes as a spot machine only:
  compute/docs/accelerator-optimized-machines
- what is no longer there: compute/docs/eol/p100-eos and t4-eos

Left out are accelerators that the images' PyTorch has no code for, and machines whose
boot disk or capacity is ordered in another way (H200, B200, RTX PRO 6000).
"""

from dataclasses import dataclass

from tenfold.errors import TenfoldError
from tenfold.recipe import Resources

AS_OF = "November 2026"
LOCATIONS = (
    "https://docs.cloud.google.com/gemini-enterprise-agent-platform/machine-learning/"
    "general/locations#accelerators"
)
#: What Vertex AI gives a boot disk at least (the first page).
LEAST_DISK_GB = 100


class MachineError(TenfoldError):
    """No machine is what a profile asks for."""


@dataclass(frozen=True)
class Machine:
    """One machine type, with what is attached to it.

    Attributes:
        name: as the API says it.
        cpu: virtual CPUs.
        memory_gb: memory.
        gpu: accelerator, as the API says it.
        gpus: how many of them.
        spot_only: it is not sold on demand.
    """

    name: str
    cpu: int
    memory_gb: float
    gpu: str
    gpus: int
    spot_only: bool = False

    @property
    def family(self) -> str:
        """Return the series, e.g. g2."""
        return self.name.partition("-")[0]

    @property
    def bundled(self) -> bool:
        """Tell whether the machine's price holds its accelerators."""
        return self.family != "n1"

    def __str__(self) -> str:
        return f"{self.name} + {self.gpus} × {self.gpu}"


_GPUS = {
    "T4": "NVIDIA_TESLA_T4",
    "L4": "NVIDIA_L4",
    "A100": "NVIDIA_TESLA_A100",
    "A100-80": "NVIDIA_A100_80GB",
    "H100": "NVIDIA_H100_80GB",
}
GPUS = tuple(_GPUS.values())

_OLD = "CUDA 13, which the torch image is built with, has no code for it"
_REFUSED = {
    "NVIDIA_TESLA_K80": "Google Cloud no longer has it",
    "NVIDIA_TESLA_P100": "Google Cloud no longer has it, since 15 September 2026",
    "NVIDIA_TESLA_P4": _OLD,
    "NVIDIA_TESLA_V100": _OLD,
}
_ENDS = {"NVIDIA_TESLA_T4": "1 August 2027"}

#: CPUs of an N1 machine → how many T4 it takes.
_T4 = {4: (1, 2, 4), 8: (1, 2, 4), 16: (1, 2, 4), 32: (2, 4), 64: (4,), 96: (4,)}
_N1 = {"standard": 3.75, "highmem": 6.5}
_G2 = {4: 1, 8: 1, 12: 1, 16: 1, 24: 2, 32: 1, 48: 4, 96: 8}
_FIXED = {
    "a2-highgpu": ("A100", 12, 85),
    "a2-ultragpu": ("A100-80", 12, 170),
    "a3-highgpu": ("H100", 26, 234),
}
MACHINES = (
    *(
        Machine(f"n1-{kind}-{cpu}", cpu, cpu * gb, _GPUS["T4"], gpus)
        for kind, gb in _N1.items()
        for cpu, counts in _T4.items()
        for gpus in counts
    ),
    *(Machine(f"g2-standard-{n}", n, n * 4, _GPUS["L4"], g) for n, g in _G2.items()),
    *(
        Machine(f"{name}-{n}g", cpu * n, gb * n, _GPUS[gpu], n, gpu == "H100" and n < 8)
        for name, (gpu, cpu, gb) in _FIXED.items()
        for n in (1, 2, 4, 8)
    ),
)

_REGIONS = {
    "asia-east1": "T4",
    "asia-east2": "T4",
    "asia-northeast1": "T4 H100",
    "asia-northeast3": "T4 L4 A100 H100",
    "asia-south1": "T4 L4 H100",
    "asia-south2": "",
    "asia-southeast1": "T4 L4 A100 A100-80 H100",
    "asia-southeast2": "T4",
    "australia-southeast1": "T4",
    "europe-central2": "T4",
    "europe-north1": "",
    "europe-west1": "T4 H100",
    "europe-west2": "T4 L4 H100",
    "europe-west3": "T4 H100",
    "europe-west4": "T4 L4 A100 A100-80 H100",
    "europe-west6": "",
    "me-central2": "L4",
    "me-west1": "A100",
    "northamerica-northeast1": "T4",
    "northamerica-northeast2": "L4 H100",
    "southamerica-east1": "T4",
    "southamerica-west1": "",
    "us-central1": "T4 L4 A100 A100-80 H100",
    "us-east1": "T4 L4 A100",
    "us-east4": "T4 L4 A100-80 H100",
    "us-east5": "A100-80 H100",
    "us-south1": "",
    "us-west1": "T4 L4 H100",
    "us-west2": "T4",
    "us-west3": "A100",
    "us-west4": "T4 A100 H100",
}
#: Region → accelerators that training can have there.
REGIONS = {
    region: tuple(_GPUS[short] for short in gpus.split())
    for region, gpus in _REGIONS.items()
}


def machine_for(profile: Resources) -> Machine:
    """Return the smallest machine that holds a profile with a GPU.

    Raises:
        MachineError: naming what is nearest.
    """
    same = [machine for machine in MACHINES if machine.gpu == profile.gpu]
    if not same:
        raise MachineError(_unknown(profile.gpu))
    if profile.disk_gb < LEAST_DISK_GB:
        raise MachineError(
            f"disk_gb is {profile.disk_gb}, but a machine of Vertex AI has at least"
            f" {LEAST_DISK_GB} GB; raise it"
        )
    fitting = [machine for machine in same if _holds(machine, profile)]
    sold = [machine for machine in fitting if profile.spot or not machine.spot_only]
    if sold:
        return min(sold, key=lambda machine: (machine.cpu, machine.memory_gb))
    if fitting:
        raise MachineError(
            f"{fitting[0]} is sold as a spot machine only; set the profile's spot"
        )
    near = min(same, key=lambda machine: _distance(machine, profile))
    raise MachineError(
        f"no machine of Vertex AI has {profile.gpus} × {profile.gpu} with"
        f" {profile.cpu} CPUs and {profile.memory_gb} GB; the nearest is {near},"
        f" {near.cpu} CPUs and {near.memory_gb:g} GB"
    )


def check_region(profile: Resources, region: str) -> str | None:
    """Check that training in a region can have a profile's accelerator.

    Returns:
        What cannot be told of a region that the table does not know.

    Raises:
        MachineError: it cannot, naming the regions that can.
    """
    if profile.gpu is None:
        return None
    if region not in REGIONS:
        return f"{region} is not in the table of {AS_OF}; check {LOCATIONS}"
    if profile.gpu not in REGIONS[region]:
        others = [name for name, gpus in REGIONS.items() if profile.gpu in gpus]
        raise MachineError(
            f"{region} has no {profile.gpu} for training; {', '.join(others)} have it"
            if others
            else _unknown(profile.gpu)
        )
    return None


def end_of_support(gpu: str | None) -> str | None:
    """Say when Google Cloud takes an accelerator away, if it has said so."""
    if gpu not in _ENDS:
        return None
    return f"Google Cloud ends {gpu} on {_ENDS[gpu]}; {_GPUS['L4']} is what it offers"


def _unknown(gpu: str | None) -> str:
    if gpu in _REFUSED:
        return f"{gpu}: {_REFUSED[gpu]}; there is {', '.join(GPUS)}"
    return f"unknown accelerator {gpu}; training on Vertex AI has {', '.join(GPUS)}"


def _holds(machine: Machine, profile: Resources) -> bool:
    return (
        machine.gpus == profile.gpus
        and machine.cpu >= profile.cpu
        and machine.memory_gb >= profile.memory_gb
    )


def _distance(machine: Machine, profile: Resources) -> tuple[float, ...]:
    """Return how far a machine is from a profile, in GPUs first."""
    return (
        abs(machine.gpus - profile.gpus),
        max(profile.cpu - machine.cpu, 0) / profile.cpu
        + max(profile.memory_gb - machine.memory_gb, 0) / profile.memory_gb,
        machine.cpu,
    )
