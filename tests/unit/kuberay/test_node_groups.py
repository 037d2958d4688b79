"""Which pods a step has."""

from typing import Any

import pytest

from controller.launchers.kuberay.groups import MAX_WORKER_GROUPS
from controller.launchers.kuberay.installation import Installation, PodSize
from distillery.steps import CURATE, GENERATE, PREPARE, PUBLISH, Step, evaluate_step, train_step
from tests.unit.kuberay.launches import GPU_CHANGES, IMAGE, groups_of, head_of, ray_job_of

TRAIN, EVALUATE = train_step("small"), evaluate_step("small")


def resources_of(template: dict[str, Any]) -> dict[str, str]:
    container = template["spec"]["containers"][0]
    assert container["resources"]["requests"] == container["resources"]["limits"]
    limits: dict[str, str] = container["resources"]["limits"]
    return limits


@pytest.mark.parametrize(
    "step", [PREPARE, GENERATE, CURATE, TRAIN, EVALUATE, PUBLISH], ids=lambda s: s.id
)
def test_steps_without_gpus_are_a_head_alone(step: Step) -> None:
    ray_job = ray_job_of(step)
    assert groups_of(ray_job) == []
    head = ray_job["spec"]["rayClusterSpec"]["headGroupSpec"]
    assert head["rayStartParams"]["num-cpus"] == "4"
    assert resources_of(head_of(ray_job))["cpu"] == "4"
    assert "nvidia.com/gpu" not in resources_of(head_of(ray_job))


@pytest.mark.parametrize("step", [PREPARE, CURATE], ids=lambda step: step.id)
def test_prepare_and_curate_never_get_gpus(step: Step) -> None:
    assert groups_of(ray_job_of(step, **GPU_CHANGES)) == []


@pytest.mark.parametrize(
    ("step", "want"),
    [
        pytest.param(GENERATE, ("engines", 4, "8", "32", "256Gi"), id="generate"),
        pytest.param(TRAIN, ("trainers", 2, "1", "6", "32Gi"), id="train"),
        pytest.param(EVALUATE, ("engines", 1, "2", "8", "64Gi"), id="evaluate"),
        pytest.param(PUBLISH, ("engines", 1, "2", "8", "64Gi"), id="publish"),
    ],
)
def test_gpu_steps_have_one_group_of_workers(
    step: Step, want: tuple[str, int, str, str, str]
) -> None:
    ray_job = ray_job_of(step, **GPU_CHANGES)
    (group,) = groups_of(ray_job)
    name, replicas, gpus, cpus, memory = want
    assert group["groupName"] == name
    assert group["replicas"] == group["minReplicas"] == group["maxReplicas"] == replicas
    assert group["numOfHosts"] == 1
    limits = resources_of(group["template"])
    assert (limits["nvidia.com/gpu"], limits["cpu"], limits["memory"]) == (gpus, cpus, memory)
    assert (group["rayStartParams"]["num-gpus"], group["rayStartParams"]["num-cpus"]) == (
        gpus,
        cpus,
    )


def test_a_replica_over_several_nodes_is_as_many_pods() -> None:
    engine = {**GPU_CHANGES["teacher__engine"], "pipelineParallel": 2}
    ray_job = ray_job_of(GENERATE, **{**GPU_CHANGES, "teacher__engine": engine})
    (group,) = groups_of(ray_job)
    assert (group["replicas"], group["numOfHosts"]) == (4, 2)
    assert resources_of(group["template"])["nvidia.com/gpu"] == "8"


@pytest.mark.parametrize("step", [GENERATE, TRAIN, EVALUATE, PUBLISH], ids=lambda step: step.id)
def test_heads_of_gpu_steps_offer_nothing_to_ray(step: Step) -> None:
    ray_job = ray_job_of(step, **GPU_CHANGES)
    params = ray_job["spec"]["rayClusterSpec"]["headGroupSpec"]["rayStartParams"]
    assert (params["num-cpus"], params["num-gpus"]) == ("0", "0")
    limits = resources_of(head_of(ray_job))
    assert (limits["cpu"], limits["memory"]) == ("2", "8Gi")
    assert "nvidia.com/gpu" not in limits
    # The driver asks Ray for nothing, so it is put onto the head.
    assert not {"entrypointNumCpus", "entrypointNumGpus", "entrypointResources"} & set(
        ray_job["spec"]
    )


def test_a_head_alone_has_room_for_all_training_workers() -> None:
    ray_job = ray_job_of(TRAIN, students__0__workers={"replicas": 3, "cpus": 2})
    assert resources_of(head_of(ray_job))["cpu"] == "6"
    params = ray_job["spec"]["rayClusterSpec"]["headGroupSpec"]["rayStartParams"]
    assert params["num-cpus"] == "6"


def test_a_head_alone_has_memory_for_its_engines_caches() -> None:
    engine = {"type": "vllm", "replicas": 3, "kvCacheGib": 2.5}
    assert resources_of(head_of(ray_job_of(GENERATE, teacher__engine=engine)))["memory"] == "24Gi"


def test_a_transformers_engine_runs_on_the_head() -> None:
    engine = {"type": "transformers", "replicas": 2}
    assert groups_of(ray_job_of(GENERATE, teacher__engine=engine)) == []


def test_sizes_and_the_name_of_gpus_are_the_installations() -> None:
    installation = Installation(
        image=IMAGE,
        head=PodSize(cpus=1, memory_gib=3),
        worker_per_gpu=PodSize(cpus=2, memory_gib=5),
        gpu_resource="amd.com/gpu",
    )
    ray_job = ray_job_of(GENERATE, installation=installation, **GPU_CHANGES)
    assert resources_of(head_of(ray_job))["memory"] == "3Gi"
    limits = resources_of(groups_of(ray_job)[0]["template"])
    assert (limits["amd.com/gpu"], limits["cpu"], limits["memory"]) == ("8", "16", "40Gi")


def test_ray_is_told_of_cpus_that_an_override_adds() -> None:
    more = {"spec": {"containers": [{"name": "ray-head", "resources": {"limits": {"cpu": "16"}}}]}}
    head = ray_job_of(CURATE, runtime__head=more)["spec"]["rayClusterSpec"]["headGroupSpec"]
    assert head["rayStartParams"]["num-cpus"] == "16"


def test_no_step_has_more_worker_groups_than_kueue_admits() -> None:
    for step in (PREPARE, GENERATE, CURATE, TRAIN, EVALUATE, PUBLISH):
        assert len(groups_of(ray_job_of(step, **GPU_CHANGES))) <= MAX_WORKER_GROUPS
