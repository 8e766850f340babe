"""Which machine a profile gets on Vertex AI, and what is refused in which words."""

import pytest
from google.cloud.aiplatform_v1.types import AcceleratorType

from pipelines.compile import compile_recipe
from pipelines.images import Images
from pipelines.machines import (
    GPUS,
    MACHINES,
    REGIONS,
    MachineError,
    check_region,
    end_of_support,
    machine_for,
)
from pipelines.settings import Settings
from tenfold.challenges import challenge_names, find_challenge, load_recipe
from tenfold.recipe import Resources


def profile(gpu="NVIDIA_L4", gpus=1, cpu=2, memory_gb=8, **more):
    return Resources(gpu=gpu, gpus=gpus, cpu=cpu, memory_gb=memory_gb, **more)


def test_accelerators_are_called_what_the_api_calls_them():
    names = {kind.name for kind in AcceleratorType}
    assert set(GPUS) <= names
    assert {machine.gpu for machine in MACHINES} == set(GPUS)
    assert {gpu for gpus in REGIONS.values() for gpu in gpus} == set(GPUS)


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        (profile("NVIDIA_TESLA_T4", cpu=8, memory_gb=30), "n1-standard-8"),
        (profile("NVIDIA_TESLA_T4", cpu=8, memory_gb=40), "n1-highmem-8"),
        (profile("NVIDIA_TESLA_T4", 2, cpu=17), "n1-standard-32"),
        (profile("NVIDIA_L4", 1, cpu=4, memory_gb=17), "g2-standard-8"),
        (profile("NVIDIA_L4", 2), "g2-standard-24"),
        (profile("NVIDIA_TESLA_A100", 1, memory_gb=85), "a2-highgpu-1g"),
        (profile("NVIDIA_A100_80GB", 4), "a2-ultragpu-4g"),
        (profile("NVIDIA_H100_80GB", 8), "a3-highgpu-8g"),
        (profile("NVIDIA_H100_80GB", 1, spot=True), "a3-highgpu-1g"),
    ],
)
def test_a_profile_gets_the_smallest_machine_that_holds_it(asked, name):
    machine = machine_for(asked)
    assert machine.name == name
    assert (machine.gpu, machine.gpus) == (asked.gpu, asked.gpus)
    assert machine.cpu >= asked.cpu
    assert machine.memory_gb >= asked.memory_gb


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (profile("NVIDIA_GTX"), "unknown accelerator NVIDIA_GTX; .* NVIDIA_L4"),
        (profile("NVIDIA_TESLA_V100"), "CUDA 13.* has no code for it"),
        (profile("NVIDIA_TESLA_P100"), "no longer has it, since 15 September 2026"),
        (profile(gpus=3), r"nearest is g2-standard-24 \+ 2 × NVIDIA_L4"),
        (profile(cpu=64), r"64 CPUs and 8 GB; the nearest is g2-standard-32"),
        (profile("NVIDIA_TESLA_T4", 1, cpu=32), "nearest is n1-standard-16"),
        (profile("NVIDIA_H100_80GB"), "a3-highgpu-1g .* sold as a spot machine only"),
        (profile(disk_gb=50), "disk_gb is 50, .* at least 100 GB"),
    ],
)
def test_what_no_machine_is_gets_one_sentence_that_helps(asked, words):
    with pytest.raises(MachineError, match=words) as raised:
        machine_for(asked)
    assert "\n" not in str(raised.value)


def test_a_region_without_the_accelerator_is_refused_with_those_that_have_it():
    with pytest.raises(MachineError, match="us-south1 has no NVIDIA_L4") as raised:
        check_region(profile(), "us-south1")
    named = {region for region in REGIONS if region in str(raised.value)}
    assert named == {r for r, gpus in REGIONS.items() if "NVIDIA_L4" in gpus} | {
        "us-south1"
    }


def test_an_accelerator_for_serving_only_is_not_one_for_training():
    # The page lists an L4 there, with a dagger.
    with pytest.raises(MachineError, match="europe-west6 has no NVIDIA_L4"):
        check_region(profile(), "europe-west6")


def test_a_region_that_nobody_looked_up_is_a_doubt_not_an_error():
    assert "not in the table of November 2026" in check_region(profile(), "mars-west1")
    assert check_region(profile(), "europe-west4") is None
    assert check_region(Resources(), "mars-west1") is None


def test_the_end_of_an_accelerator_is_announced():
    assert "1 August 2027" in end_of_support("NVIDIA_TESLA_T4")
    assert end_of_support("NVIDIA_L4") is None
    assert end_of_support(None) is None


def test_every_preset_finds_its_machines():
    for challenge in challenge_names():
        for name in find_challenge(challenge).recipes():
            for asked in load_recipe(challenge, name).profiles.values():
                if asked.gpu is not None:
                    machine_for(asked)


def test_a_graph_is_not_compiled_for_a_region_that_cannot_run_it(tmp_path):
    own = Settings.model_validate({"vertex": {"location": "europe-north1"}})
    images = Images("registry.example/x", "0123456789abcdef")
    with pytest.raises(MachineError, match="europe-north1 has no NVIDIA_TESLA_T4"):
        compile_recipe("kelp", "winning", ["vertex"], (), own, images, tmp_path)
    assert list(tmp_path.iterdir()) == []
