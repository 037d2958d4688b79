"""``distillery plan``: what it prints, where its numbers come from, and its errors."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.cli.main import main
from tests.builders import make_document

_405B = {
    "teacher__model": {"uri": "hf://meta-llama/Llama-3.1-405B-Instruct-FP8"},
    "teacher__engine": {"type": "vllm", "replicas": 4, "tensorParallel": 8, "maxNumSeqs": 256},
    "dataset__train__maxRows": 2000,
    "dataset__validation__maxRows": 500,
    "dataset__test__maxRows": 1000,
    "students__0__model": {"uri": "hf://meta-llama/Llama-3.1-8B-Instruct"},
    "students__0__method": {"type": "lora"},
    "students__0__workers": {"replicas": 4, "gpus": 1},
    "students__0__training": {"microBatchSize": 1, "gradientCheckpointing": True},
    "evaluation__engine": {"type": "vllm", "tensorParallel": 1},
    "runtime__gpus": {"kind": "H100-80GB", "usdPerHour": 2.5},
    "runtime__scratchGib": 500,
}


def plan(tmp_path: Path, *arguments: str, **changes: Any) -> tuple[int, str, str]:
    """Exit code, output and errors of ``distillery plan`` for the 405B job with ``changes``."""
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(make_document(**{**_405B, **changes})), "utf-8")
    out, err = io.StringIO(), io.StringIO()
    code = main(["plan", str(path), *arguments], environ={}, out=out, err=err)
    return code, out.getvalue(), err.getvalue()


def plan_json(tmp_path: Path, *arguments: str, **changes: Any) -> dict[str, Any]:
    _, out, err = plan(tmp_path, "--json", *arguments, **changes)
    assert err == ""
    document: dict[str, Any] = json.loads(out)
    return document


def test_the_plan_of_a_job_that_fits_has_layouts_steps_and_price(tmp_path: Path) -> None:
    code, out, err = plan(tmp_path)
    assert (code, err) == (0, "")
    assert "llama-3.1-405b, FP8 weights (382 GiB), BF16 cache, on H100-80GB, 8 a node" in out
    assert "this job" in out
    assert "382 GiB of weights don't fit 4 GPUs with 275 GiB" in out
    assert "speeds: efficiencies of vllm 2025\n" in out
    for step in ("generate", "train-small", "evaluate-small", "together"):
        assert step in out
    assert "assumed: 2,000 train, 500 validation and 1,000 test rows, prompts of 500" in out
    assert "refused" not in out


def test_as_json_it_adds_up(tmp_path: Path) -> None:
    document = plan_json(tmp_path)
    chosen = document["teacher"]["chosen"]
    assert (chosen["tensorParallel"], chosen["numInFlight"], chosen["fits"]) == (8, 256, True)
    assert document["teacher"]["isCalibrated"] is True
    generate = document["steps"][0]
    num_requests = (2000 + 500 + 1000) * 2
    tokens = num_requests * document["assumed"]["answerTokens"]
    assert generate["seconds"] == pytest.approx(tokens / chosen["outputTokensPerSecond"] / 4)
    assert generate["numGpus"] == 32
    assert document["gpuHours"] == pytest.approx(
        sum(each["gpuHours"] for each in document["steps"])
    )
    assert document["costUsd"] == pytest.approx(2.5 * document["gpuHours"])
    assert document["students"] == [
        {"name": "small", "fits": True, "gpuGib": pytest.approx(37.7, rel=0.01), "adapters": True}
    ]


def test_a_job_that_does_not_fit_is_told_so_and_has_no_hours(tmp_path: Path) -> None:
    bf16 = {"uri": "hf://meta-llama/Llama-3.1-405B-Instruct"}
    code, out, _ = plan(tmp_path, teacher__model=bf16, runtime__scratchGib=1000)
    assert code == 1
    assert (
        "refused: spec.teacher.engine.tensorParallel: 756 GiB of BF16 weights don't fit 8 x "
        "H100-80GB (550 GiB to use), got TP8 x PP1; use TP8 x PP2"
    ) in " ".join(out.split())
    assert "steps on GPUs" not in out


def test_rows_and_lengths_can_be_said(tmp_path: Path) -> None:
    document = plan_json(
        tmp_path,
        "--rows",
        "train=100000",
        "--prompt-tokens",
        "800",
        "--answer-tokens",
        "400",
    )
    assert document["assumed"] == {
        "trainRows": 100_000,
        "validationRows": 500,
        "testRows": 1000,
        "promptTokens": 800,
        "answerTokens": 400,
    }


def test_lines_of_a_local_file_are_counted_where_they_are_fewer_than_max_rows(
    tmp_path: Path,
) -> None:
    rows = tmp_path / "train rows.jsonl"
    rows.write_text('{"a": 1}\n\n' + 44 * '{"a": 2}\n' + '{"a": 3}', "utf-8")
    for max_rows, want in ((100, 46), (42, 42)):
        changes = {"dataset__train__uri": str(rows), "dataset__train__maxRows": max_rows}
        assert plan_json(tmp_path, **changes)["assumed"]["trainRows"] == want


def test_a_local_folder_is_sized_by_its_config(tmp_path: Path) -> None:
    folder = tmp_path / "my model"
    folder.mkdir()
    config = {
        "num_hidden_layers": 80,
        "hidden_size": 8192,
        "intermediate_size": 28672,
        "num_attention_heads": 64,
        "num_key_value_heads": 8,
        "vocab_size": 128256,
        "quantization_config": {"quant_method": "fp8"},
    }
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    document = plan_json(tmp_path, teacher__model={"uri": str(folder)})
    assert document["teacher"]["model"] == "my model"
    assert document["teacher"]["weights"] == "FP8"
    assert document["teacher"]["weightGib"] == pytest.approx(67.7, rel=0.01)


def test_a_model_of_experts_is_said_not_to_be_calibrated(tmp_path: Path) -> None:
    moe = {"uri": "hf://Qwen/Qwen3-235B-A22B-FP8"}
    code, out, _ = plan(tmp_path, teacher__model=moe)
    assert code == 0
    assert "speeds: efficiencies of vllm 2025, not calibrated for such a model" in out


def test_a_teacher_on_a_cpu_has_layouts_but_no_step(tmp_path: Path) -> None:
    document = plan_json(tmp_path, teacher__engine={"type": "transformers"})
    assert "chosen" not in document["teacher"]
    assert [step["step"] for step in document["steps"]] == ["train-small", "evaluate-small"]


@pytest.mark.parametrize(
    ("arguments", "changes", "want"),
    [
        pytest.param(
            [],
            {"runtime__gpus": None},
            "spec.runtime.gpus: a plan needs the kind of GPU, got nothing; set it, or use --set "
            "runtime.gpus.kind=KIND (A100-40GB, A100-80GB, H100-80GB, H200-141GB, B200-180GB, "
            "GB200-186GB, MI300X-192GB)",
            id="no_gpu",
        ),
        pytest.param(
            [],
            {"teacher__model": {"uri": "hf://someone/mystery"}},
            "spec.teacher.model.uri: its shape isn't known, got hf://someone/mystery; name a "
            "folder with its config.json, or a model such as llama-3.1-405b, llama-3.3-70b",
            id="unknown_teacher",
        ),
        pytest.param(
            [],
            {"dataset__train__maxRows": None},
            "spec.dataset.train: its number of rows isn't known, got file:///data/train.jsonl; "
            "use --rows train=NUMBER",
            id="unknown_rows",
        ),
        pytest.param(
            ["--rows", "training=5"],
            {},
            "--rows: must look like split=number, got 'training=5'; for example train=2000 (splits "
            "are train, validation, test)",
            id="bad_rows",
        ),
    ],
)
def test_what_is_not_known_is_asked_for(
    tmp_path: Path, arguments: list[str], changes: dict[str, Any], want: str
) -> None:
    code, out, err = plan(tmp_path, *arguments, **changes)
    assert (code, out, err) == (2, "", want + "\n")


def test_a_broken_config_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{", "utf-8")
    code, _, err = plan(tmp_path, teacher__model={"uri": str(folder)})
    assert code == 2
    assert err.endswith(
        "/model/config.json: must be a model's config, got JSONDecodeError; copy the model again\n"
    )


@pytest.mark.parametrize("text", ["0", "-3", "many"])
def test_a_length_that_is_none_is_refused(
    tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        plan(tmp_path, f"--prompt-tokens={text}")
    assert caught.value.code == 2
    want = f"argument --prompt-tokens: must be a number above 0, got '{text}'"
    assert want in capsys.readouterr().err
