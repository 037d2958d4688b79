"""Optimizer steps a second of a real train step against plain TRL, same model, rows and settings.

Ours is ``ray_jobs.train`` whole: a Ray cluster, Ray Train's worker, our rows, loss and curve; the
time is the curve's, which leaves validation and checkpoints out. Plain is ``trl.SFTTrainer`` with
its own collator and loss in a process of its own, on the same token ids and labels, logging every
step too. Both are timed from step 10 to the end, in pairs of alternating order; printed are each
pair, and the median of the ratios (ours / plain) with a 95% bootstrap interval.

    python -m benchmarks.train --pairs 5 --steps 100
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distillery.spec.student import LoraMethod, TrainingSpec, WorkersSpec
from ray_jobs.records import Split
from ray_jobs.rendering import Renderer
from ray_jobs.train.options import lora_options
from tests.integration.train.jobs import make_config, make_place, make_rows, make_training, train
from tests.models import make_tiny_llama

FIRST_STEP = 10
NUM_RESAMPLES = 10_000
NUM_ROWS = 2000
_REPOSITORY = Path(__file__).parents[1]


def main(arguments: Sequence[str]) -> int:
    """Runs the benchmark and prints its result; the exit code is 0."""
    options = _parse(arguments)
    if options.plain:
        _write(json.dumps(_run_plain(options)))
        return 0
    import ray

    os.environ.update({"RAY_worker_niceness": "0", "RAY_USAGE_STATS_ENABLED": "0"})
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        model = make_tiny_llama(root / "model", hidden_size=options.hidden)
        ray.init(
            num_cpus=options.cpus + 1,
            log_to_driver=False,
            runtime_env={"env_vars": {"PYTHONPATH": str(_REPOSITORY)}},
        )
        pairs = []
        for pair in range(options.pairs):
            sides = ["ours", "plain"] if pair % 2 == 0 else ["plain", "ours"]
            speed = {}
            for side in sides:
                folder = root / f"{side}-{pair}"
                speed[side] = (
                    _measure_ours(folder, model, options)
                    if side == "ours"
                    else _measure_plain(model, options)
                )
            pairs.append((speed["ours"], speed["plain"]))
            _write(f"pair {pair}: ours {speed['ours']:.2f} plain {speed['plain']:.2f} steps/s")
        ray.shutdown()
    _report(pairs, options)
    return 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.train", description="Training speed.")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--cpus", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--lora", action="store_true", help="adapters instead of all weights")
    parser.add_argument("--plain", metavar="MODEL", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def _training(options: argparse.Namespace) -> TrainingSpec:
    return make_training(
        max_steps=options.steps,
        batch_size=options.batch,
        micro_batch_size=options.batch,
        learning_rate=2e-3,
        warmup_steps=5,
        precision="bf16",
        eval_steps=options.steps,
    )


def _measure_ours(folder: Path, model: Path, options: argparse.Namespace) -> float:
    place = make_place(folder, model, num_train=NUM_ROWS)
    config = make_config(
        place,
        method=LoraMethod() if options.lora else None,
        training=_training(options),
        workers=WorkersSpec(cpus=options.cpus),
    )
    (curve,) = train(config, reporter=None).curves.values()
    seconds = curve[-1].seconds - curve[FIRST_STEP - 1].seconds
    return float(options.steps - FIRST_STEP) / seconds


def _measure_plain(model: Path, options: argparse.Namespace) -> float:
    command = [sys.executable, "-m", "benchmarks.train", "--plain", str(model)]
    for name in ("steps", "batch", "cpus"):
        command += [f"--{name}", str(getattr(options, name))]
    if options.lora:
        command.append("--lora")
    environment = {
        **os.environ,
        "PYTHONPATH": str(_REPOSITORY),
        "OMP_NUM_THREADS": str(options.cpus),
        "HF_HUB_OFFLINE": "1",
    }
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


def _run_plain(options: argparse.Namespace) -> float:
    """Steps a second of TRL as it is."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    torch.set_num_threads(options.cpus)
    marks: dict[int, float] = {}

    class Watch(TrainerCallback):  # type: ignore[misc]
        def on_log(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            del args, control
            marks.setdefault(state.global_step, time.monotonic())

    training = _training(options)
    with tempfile.TemporaryDirectory() as folder:
        trainer = SFTTrainer(
            model=AutoModelForCausalLM.from_pretrained(options.plain, dtype=torch.float32),
            args=SFTConfig(
                output_dir=folder,
                max_steps=options.steps,
                per_device_train_batch_size=options.batch,
                learning_rate=training.learning_rate,
                warmup_steps=training.warmup_steps,
                weight_decay=training.weight_decay,
                bf16=True,
                use_cpu=True,
                gradient_checkpointing=False,
                logging_steps=1,
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
            ),
            peft_config=LoraConfig(**lora_options(LoraMethod())) if options.lora else None,
            processing_class=AutoTokenizer.from_pretrained(options.plain),
            train_dataset=Dataset.from_list(_plain_rows(options.plain)),
            callbacks=[Watch],
        )
        trainer.train()
    return float(options.steps - FIRST_STEP) / (marks[options.steps] - marks[FIRST_STEP])


def _plain_rows(model: str) -> list[dict[str, list[int]]]:
    """The rows that ours trains on, as TRL takes them."""
    renderer = Renderer.from_folder(model)
    rows = make_rows(NUM_ROWS, split=Split.TRAIN)
    examples = renderer.training_examples([row.messages for row in rows])
    return [
        {
            "input_ids": example.ids,
            "labels": [
                token if bears_loss else -100
                for token, bears_loss in zip(example.ids, example.mask, strict=True)
            ],
        }
        for example in examples
    ]


def _report(pairs: Sequence[tuple[float, float]], options: argparse.Namespace) -> None:
    ratios = [ours / plain for ours, plain in pairs]
    rng = random.Random(0)
    medians = sorted(
        statistics.median(rng.choices(ratios, k=len(ratios))) for _ in range(NUM_RESAMPLES)
    )
    low, high = medians[int(0.025 * NUM_RESAMPLES)], medians[int(0.975 * NUM_RESAMPLES)]
    method = "lora" if options.lora else "full"
    _write(
        f"{method} hidden {options.hidden} batch {options.batch} steps {options.steps} "
        f"cpus {options.cpus} bf16 autocast"
    )
    _write(
        f"ours {statistics.median(ours for ours, _ in pairs):.2f} steps/s, "
        f"plain {statistics.median(plain for _, plain in pairs):.2f} steps/s, ratio "
        f"{statistics.median(ratios):.3f} [{low:.3f}, {high:.3f}] over {len(pairs)} pairs"
    )


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
