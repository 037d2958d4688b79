"""Engines on GPUs and on the CPU, up to the edge: what vLLM and Ray are asked for."""

import logging
from pathlib import Path
from typing import Any

import pytest

from distillery.errors import ResourceError, SpecError
from distillery.spec.engine import TransformersEngineSpec, VllmEngineSpec
from ray_jobs.answering import actor as answering
from ray_jobs.engines.base import EngineSettings, EngineType
from ray_jobs.engines.environment import engine_environment
from ray_jobs.engines.from_spec import engine_settings
from ray_jobs.engines.gpus import gpus_of_engine
from ray_jobs.engines.vllm_arguments import check_device, engine_arguments
from ray_jobs.generate import fleet

FOLDER = Path("/models/teacher")
TRANSFORMERS = EngineSettings(type=EngineType.TRANSFORMERS)


def vllm(tensor_parallel: int = 0, **changes: Any) -> EngineSettings:
    return EngineSettings(type=EngineType.VLLM, tensor_parallel=tensor_parallel, **changes)


@pytest.mark.parametrize("tensor_parallel", [0, 1, 8])
def test_the_job_s_gpus_reach_the_engine(tensor_parallel: int) -> None:
    spec = VllmEngineSpec(tensor_parallel=tensor_parallel)
    assert engine_settings(spec).tensor_parallel == tensor_parallel


def test_a_pipeline_over_nodes_is_run_by_vllm_s_workers_under_ray() -> None:
    settings = engine_settings(VllmEngineSpec(tensor_parallel=8, pipeline_parallel=2))
    arguments = engine_arguments(settings, FOLDER, on_cpu=False)
    assert arguments["tensor_parallel_size"] == 8
    assert arguments["pipeline_parallel_size"] == 2
    assert arguments["distributed_executor_backend"] == "ray"
    assert engine_environment(settings)["VLLM_ENABLE_V1_MULTIPROCESSING"] == "1"


def test_transformers_has_no_such_setting() -> None:
    assert engine_settings(TransformersEngineSpec()).tensor_parallel == 0


def test_on_the_cpu_vllm_is_asked_for_no_gpus() -> None:
    assert engine_arguments(vllm(kv_cache_gib=2), FOLDER, on_cpu=True) == {
        "model": "/models/teacher",
        "dtype": "auto",
        "max_model_len": None,
        "max_num_seqs": 64,
        "enforce_eager": False,
        "seed": 0,
        "kv_cache_memory_bytes": 2 << 30,
    }


@pytest.mark.parametrize(
    ("tensor_parallel", "want"),
    [
        (1, {"tensor_parallel_size": 1}),
        (4, {"tensor_parallel_size": 4, "distributed_executor_backend": "mp"}),
    ],
)
def test_on_gpus_vllm_is_asked_for_as_many(tensor_parallel: int, want: dict[str, object]) -> None:
    settings = vllm(tensor_parallel, gpu_memory_utilization=0.8)
    assert engine_arguments(settings, FOLDER, on_cpu=False) == want | {
        "model": "/models/teacher",
        "dtype": "auto",
        "max_model_len": None,
        "max_num_seqs": 64,
        "enforce_eager": False,
        "seed": 0,
        "gpu_memory_utilization": 0.8,
    }


@pytest.mark.parametrize(
    ("tensor_parallel", "on_cpu", "want"),
    [
        (
            2,
            True,
            "engine.tensorParallel: the installed vLLM answers on the CPU, got 2 GPUs; use 0, or "
            "an image with vLLM for GPUs",
        ),
        (
            0,
            False,
            "engine.tensorParallel: the installed vLLM answers on GPUs, got 0, the CPU; use 1 or "
            "more, or an image with vLLM for CPUs",
        ),
    ],
)
def test_the_wrong_vllm_is_told_before_the_model_is_loaded(
    tensor_parallel: int, on_cpu: bool, want: str
) -> None:
    with pytest.raises(SpecError) as caught:
        check_device(vllm(tensor_parallel), on_cpu=on_cpu)
    assert caught.value.message == want


def test_a_cache_beyond_the_machine_is_refused_on_the_cpu_alone() -> None:
    with pytest.raises(ResourceError, match=r"engine\.kvCacheGib: must be below the machine's"):
        check_device(vllm(kv_cache_gib=1e6), on_cpu=True)
    check_device(vllm(1, kv_cache_gib=1e6), on_cpu=False)


@pytest.mark.parametrize(
    ("settings", "num_gpus", "num_engines", "want"),
    [
        pytest.param(vllm(0), 8, 1, 0, id="vllm on the CPU of a machine with GPUs"),
        pytest.param(vllm(4), 8, 2, 4, id="vllm on GPUs"),
        pytest.param(TRANSFORMERS, 0, 1, 0, id="transformers without GPUs"),
        pytest.param(TRANSFORMERS, 2, 2, 1, id="transformers with one each"),
        pytest.param(TRANSFORMERS, 1, 2, 0, id="transformers with too few"),
    ],
)
def test_gpus_of_an_engine(
    settings: EngineSettings, num_gpus: float, num_engines: int, want: int
) -> None:
    assert gpus_of_engine(settings, num_gpus=num_gpus, num_engines=num_engines) == want


def test_too_few_gpus_are_told_while_ray_waits_for_more(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert gpus_of_engine(vllm(4), num_gpus=2) == 4
    assert caplog.messages == [
        "engine waits for GPUs the cluster hasn't got tensor_parallel=4 num_gpus=2"
    ]


@pytest.mark.parametrize(("settings", "want_gpus"), [(vllm(0), 0), (vllm(2), 2), (TRANSFORMERS, 1)])
def test_generate_asks_ray_for_each_engine_s_share(
    settings: EngineSettings, want_gpus: int
) -> None:
    options = fleet.actor_options(settings, {"CPU": 16.0, "GPU": 4.0}, num_engines=2)
    assert (options["num_cpus"], options["num_gpus"], options["max_restarts"]) == (1, want_gpus, 0)
    assert options["runtime_env"]["env_vars"]["OMP_NUM_THREADS"] == "8"


def test_generate_on_a_small_machine_shares_its_cpu() -> None:
    options = fleet.actor_options(vllm(), {"CPU": 2.0}, num_engines=4)
    assert (options["num_cpus"], options["num_gpus"]) == (0.5, 0)
    assert options["runtime_env"]["env_vars"]["OMP_NUM_THREADS"] == "1"


@pytest.mark.parametrize(("settings", "want_gpus"), [(vllm(0), 0), (vllm(2), 2), (TRANSFORMERS, 1)])
def test_evaluate_asks_ray_for_its_engine_s_gpus(settings: EngineSettings, want_gpus: int) -> None:
    options = answering.actor_options(settings, {"CPU": 16.0, "GPU": 4.0})
    assert (options["num_cpus"], options["num_gpus"]) == (1, want_gpus)
    assert options["max_concurrency"] == 2
    assert options["runtime_env"]["env_vars"]["OMP_NUM_THREADS"] == "16"
