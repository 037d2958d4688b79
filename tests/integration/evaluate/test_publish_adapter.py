"""Publishing an adapter: it goes out as it is and merged, and the merged model is asked again."""

from pathlib import Path

import pytest

from distillery.progress import Progress, parse_record
from distillery.spec.job import StorageSpec
from distillery.spec.teacher import ModelRef
from ray_jobs.models import pin_model
from ray_jobs.publish.stage import run
from ray_jobs.storage.artefacts import download_folder
from tests.integration.evaluate.students import TRANSFORMERS, Weights
from tests.publish_builders import make_published

pytestmark = [pytest.mark.heavy, pytest.mark.usefixtures("ray_session")]


def test_an_adapter_is_published_as_it_is_and_merged(
    tmp_path: Path, weights: Weights, merged: Path
) -> None:
    from transformers import AutoModelForCausalLM

    ref = ModelRef(uri=weights.base.as_uri())
    upstream = make_published(
        tmp_path,
        weights={path.name: path.read_bytes() for path in weights.adapter.iterdir()},
        student_pin=pin_model(ref, StorageSpec(uri=tmp_path.as_uri()), tmp_path / "cache"),
        students__0__model={"uri": ref.uri},
        students__0__method={"type": "lora"},
        evaluation__engine=TRANSFORMERS,
    )
    result = run(upstream.config, upstream.tools)

    paths = {artefact.path for artefact in result.artefacts}
    assert len(paths) == len(result.artefacts)
    assert {
        "models/small/adapter/README.md",
        "models/small/adapter/adapter_config.json",
        "models/small/adapter/adapter_model.safetensors",
        "models/small/model/README.md",
        "models/small/model/config.json",
        "models/small/model/model.safetensors",
        "models/small/model/tokenizer.json",
    } <= paths

    prefix, folder = upstream.config.context.prefix, tmp_path / "read"
    download_folder(upstream.tools.storage, prefix, folder, tuple(result.artefacts))
    got = AutoModelForCausalLM.from_pretrained(folder / "models/small/model").state_dict()
    want = AutoModelForCausalLM.from_pretrained(merged).state_dict()
    assert max(float((got[name] - want[name]).abs().max()) for name in want) < 1e-6

    records = [parse_record(line) for line in upstream.log.getvalue().splitlines()]
    asked = [
        each for each in records if isinstance(each, Progress) and each.label == "small merged"
    ]
    assert (asked[-1].done, asked[-1].total) == (40, 40)
    # Random weights say no number; what counts is that these weights were asked, not trial 0's.
    assert result.summary["promotions"][0]["mergedValue"] == 0.0
