"""Prepare's sizing verdict: by the models' own configs, before any GPU is asked for."""

from typing import Any

import pytest

from distillery.errors import SpecError
from distillery.sizing.estimates import CHARS_PER_TOKEN
from distillery.spec.job import JobSpec
from distillery.summaries import DataSummary, SplitSummary
from ray_jobs.prepare.sizing import check_sizing, estimate_job
from tests.builders import make_job

TEACHER, STUDENT = "s3://models/in-house", "s3://models/little"
BIG = {
    "model_type": "llama",
    "num_hidden_layers": 126,
    "hidden_size": 16384,
    "intermediate_size": 53248,
    "num_attention_heads": 128,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
}
LITTLE = BIG | {
    "num_hidden_layers": 32,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_attention_heads": 32,
}
FP8 = BIG | {"quantization_config": {"quant_method": "fp8"}}


def make_spec(**changes: Any) -> JobSpec:
    return make_job(
        teacher__model={"uri": TEACHER},
        teacher__engine={"type": "vllm", "tensorParallel": 8, "replicas": 2},
        students__0__model={"uri": STUDENT},
        students__0__method={"type": "lora"},
        students__0__workers={"replicas": 4, "gpus": 1},
        students__0__training={"microBatchSize": 1, "gradientCheckpointing": True},
        **{
            "runtime__gpus": {"kind": "H100-80GB", "usdPerHour": 2.0},
            "runtime__scratchGib": 2000,
            **changes,
        },
    ).spec


def summary_of(split: str, *, num_kept: int, mean_chars: float) -> SplitSummary:
    return SplitSummary(
        uri=f"file:///{split}",
        digest="d",
        num_read=num_kept,
        num_sampled=num_kept,
        num_kept=num_kept,
        mean_chars=mean_chars,
    )


def make_data(*, mean_chars: float = 2000.0) -> DataSummary:
    rows = {"train": 1000, "validation": 100, "test": 200}
    return DataSummary(
        splits={
            split: summary_of(split, num_kept=count, mean_chars=mean_chars)
            for split, count in rows.items()
        }
    )


def test_a_model_whose_name_says_nothing_is_sized_by_its_config() -> None:
    with pytest.raises(SpecError) as caught:
        check_sizing(make_spec(), {TEACHER: BIG, STUDENT: LITTLE})
    assert caught.value.message == (
        "spec.teacher.engine.tensorParallel: 756 GiB of BF16 weights don't fit 8 x H100-80GB "
        "(550 GiB to use), got TP8 x PP1; use TP8 x PP2"
    )


def test_what_fits_passes() -> None:
    check_sizing(make_spec(), {TEACHER: FP8, STUDENT: LITTLE})


def test_without_gpus_nothing_is_sized_whatever_the_config_says() -> None:
    spec = make_spec(runtime__gpus=None)
    configs = {TEACHER: {"model_type": "strange"}, STUDENT: {"model_type": "strange"}}
    check_sizing(spec, configs)
    assert estimate_job(spec, configs, make_data()) is None


def test_a_config_that_names_no_shape_is_refused_with_the_way_out() -> None:
    with pytest.raises(SpecError, match=r"sizing needs num_attention_heads, got nothing; leave"):
        check_sizing(make_spec(), {TEACHER: {"model_type": "strange"}, STUDENT: LITTLE})


def test_the_estimate_grows_with_rows_and_lengths_and_has_a_price() -> None:
    configs = {TEACHER: FP8, STUDENT: LITTLE}
    short = estimate_job(make_spec(), configs, make_data())
    long = estimate_job(make_spec(), configs, make_data(mean_chars=8000.0 * CHARS_PER_TOKEN))
    assert short is not None
    assert long is not None
    assert short.cost_usd == pytest.approx(2.0 * short.gpu_hours, abs=0.02)
    assert long.gpu_hours > 2 * short.gpu_hours
    assert long.duration_seconds > short.duration_seconds > 0
    unpriced = estimate_job(make_spec(runtime__gpus={"kind": "H100-80GB"}), configs, make_data())
    assert unpriced is not None
    assert unpriced.cost_usd is None
