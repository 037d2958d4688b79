"""Generated tokens a second of the real generate stage against the same engine called directly.

Ours is ``python -m ray_jobs.generate`` whole, alone on this machine: its own Ray, dispatcher and
engine actor, segments flushed every 0.5 s; timed from the first lease to the last flush. Plain is
vLLM's ``LLM.generate`` in a process of its own, on the same prompts as token ids with the same
engine settings, environment and sampling; timed around that one call. Pairs alternate their order
and ours finds an empty store each time. Printed are each pair, the median of the ratios (ours /
plain) with a 95% bootstrap interval, and the seconds of both that are not work.

Ray's own processes need a twentieth of a core. Where the engine takes all cores, that shows: leave
one free (``--threads``), or let plain share its machine with an idle Ray too (``--beside-ray``).

    python -m benchmarks.generate --model FOLDER --pairs 5 --rows 400 --max-tokens 64
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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillery.spec.engine import Dtype, VllmEngineSpec
from distillery.stage_configs import GenerateConfig
from distillery.tasks import PromptVariant, TaskName
from ray_jobs.engines.environment import engine_environment
from ray_jobs.engines.from_spec import engine_settings
from ray_jobs.engines.model_folder import check_model_folder, resolve_dtype
from ray_jobs.generate.work import first_asks
from ray_jobs.records import Split
from ray_jobs.rendering import Renderer
from ray_jobs.tasks.base import TaskOptions
from ray_jobs.tasks.choosing import make_task
from tests.integration.generate.outcomes import read_summary
from tests.integration.generate.prepared import Prepared, make_rows

NUM_RESAMPLES = 10_000
_REPOSITORY = Path(__file__).parents[1]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One side of a pair."""

    tokens: int
    work_s: float
    other_s: float

    @property
    def speed(self) -> float:
        """Tokens a second."""
        return self.tokens / self.work_s


def main(arguments: Sequence[str]) -> int:
    """Runs the benchmark and prints its result; the exit code is 0."""
    options = _parse(arguments)
    if options.plain:
        _write(json.dumps(_run_plain(json.loads(Path(options.plain).read_text("utf-8")))))
        return 0
    pairs = []
    for pair in range(options.pairs):
        speeds: dict[str, Measured] = {}
        for side in ("ours", "plain") if pair % 2 == 0 else ("plain", "ours"):
            with tempfile.TemporaryDirectory() as name:
                measure = _measure_ours if side == "ours" else _measure_plain
                speeds[side] = measure(Path(name), options)
        ours, plain = speeds["ours"], speeds["plain"]
        pairs.append((ours, plain))
        _write(
            f"pair {pair}: ours {ours.speed:.1f} plain {plain.speed:.1f} tokens/s, "
            f"ratio {ours.speed / plain.speed:.3f}, tokens {ours.tokens} and {plain.tokens}"
        )
    _report(pairs, options)
    return 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.generate", description="Labelling speed.")
    parser.add_argument("--model", required=True, help="a local model folder")
    parser.add_argument("--task", type=TaskName, default=TaskName.MATH)
    parser.add_argument("--variant", type=PromptVariant, default=PromptVariant.VANILLA)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--max-model-len", type=int, default=None)
    parser.add_argument("--kv-cache-gib", type=float, default=1.0)
    parser.add_argument("--dtype", type=Dtype, default=Dtype.AUTO)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--beside-ray", action="store_true", help="plain shares the machine with an idle Ray"
    )
    parser.add_argument("--eager", action="store_true", help="no compilation, on both sides")
    parser.add_argument("--plain", metavar="FILE", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def _prepare(root: Path, options: argparse.Namespace) -> tuple[Prepared, GenerateConfig]:
    prepared = Prepared(
        root=root,
        model=Path(options.model).resolve(),
        rows=make_rows(Split.TRAIN, options.rows),
        task=options.task,
    )
    engine = VllmEngineSpec(
        dtype=options.dtype,
        max_num_seqs=options.in_flight,
        max_model_len=options.max_model_len,
        kv_cache_gib=options.kv_cache_gib,
        enforce_eager=options.eager,
    )
    return prepared, prepared.config(
        max_tokens=options.max_tokens, variants=(options.variant,), engine=engine
    )


def _measure_ours(root: Path, options: argparse.Namespace) -> Measured:
    _, config = _prepare(root, options)
    path = root / "config.json"
    path.write_text(config.model_dump_json(by_alias=True, exclude_none=True))
    started_at = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "ray_jobs.generate", "--config", str(path)],
        cwd=_REPOSITORY,
        env=_ray_environment(options.threads),
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    whole_s = time.monotonic() - started_at
    summary = read_summary(config)
    steady_s = summary["seconds"]["steady"]
    return Measured(tokens=summary["tokensGenerated"], work_s=steady_s, other_s=whole_s - steady_s)


def _ray_environment(threads: int) -> dict[str, str]:
    """Ray as ``distillery run`` starts it, with workers of full priority; its engine gets as many
    threads as Ray believes there are CPUs."""
    kept = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    resources = {"CPU": threads}
    return kept | {"RAY_worker_niceness": "0", "RAY_OVERRIDE_RESOURCES": json.dumps(resources)}


@contextmanager
def _idle_ray(threads: int) -> Iterator[None]:
    """A Ray beside which nothing runs, to tell its own processes' share of the machine."""
    code = "import ray, sys; ray.init(address='local', include_dashboard=False); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env=_ray_environment(threads),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        yield
        process.communicate()


def _measure_plain(root: Path, options: argparse.Namespace) -> Measured:
    prepared, config = _prepare(root, options)
    renderer = Renderer.from_folder(prepared.model)
    inputs = config.inputs
    task = make_task(inputs.task, TaskOptions(labels=inputs.labels, prompts=inputs.prompts))
    asks = first_asks(prepared.rows, inputs.variants, 1, task)
    path = root / "plain.json"
    path.write_text(
        json.dumps(
            {
                "prompts": renderer.prompt_ids_many(
                    [task.prompt(ask.row, ask.variant, ()) for ask in asks]
                ),
                "stop": list(renderer.stop_token_ids),
                "max_tokens": options.max_tokens,
                "engine": {
                    "model": str(prepared.model),
                    # vLLM's own "auto" would halve float32 weights: another model, and faster.
                    "dtype": resolve_dtype(check_model_folder(prepared.model), options.dtype.value),
                    "max_model_len": options.max_model_len,
                    "max_num_seqs": options.in_flight,
                    "kv_cache_memory_bytes": int(options.kv_cache_gib * 2**30),
                    "enforce_eager": options.eager,
                },
            }
        )
    )
    settings = engine_settings(config.settings.engine)
    with _idle_ray(options.threads) if options.beside_ray else nullcontext():
        started_at = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.generate", "--model", "-", "--plain", str(path)],
            cwd=_REPOSITORY,
            env={
                **os.environ,
                **engine_environment(settings),
                "OMP_NUM_THREADS": str(options.threads),
            },
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        whole_s = time.monotonic() - started_at
    measured = json.loads(done.stdout.splitlines()[-1])
    return Measured(
        tokens=measured["tokens"],
        work_s=measured["work_s"],
        other_s=whole_s - measured["work_s"],
    )


def _run_plain(request: dict[str, Any]) -> dict[str, float]:
    """vLLM as it is."""
    from vllm import LLM, SamplingParams
    from vllm.inputs import tokens_input

    llm = LLM(**request["engine"])
    prompts = [tokens_input(ids) for ids in request["prompts"]]
    parameters = SamplingParams(
        temperature=0.0,
        top_p=1.0,
        max_tokens=request["max_tokens"],
        stop_token_ids=request["stop"],
    )
    started_at = time.monotonic()
    outputs = llm.generate(prompts, parameters, use_tqdm=False)
    work_s = time.monotonic() - started_at
    return {"tokens": sum(len(done.outputs[0].token_ids) for done in outputs), "work_s": work_s}


def _report(pairs: Sequence[tuple[Measured, Measured]], options: argparse.Namespace) -> None:
    ratios = [ours.speed / plain.speed for ours, plain in pairs]
    rng = random.Random(0)
    medians = sorted(
        statistics.median(rng.choices(ratios, k=len(ratios))) for _ in range(NUM_RESAMPLES)
    )
    low, high = medians[int(0.025 * NUM_RESAMPLES)], medians[int(0.975 * NUM_RESAMPLES)]
    _write(" ".join(f"{name}={value}" for name, value in sorted(vars(options).items())))
    for side, name in enumerate(("ours", "plain")):
        speed = statistics.median(pair[side].speed for pair in pairs)
        other_s = statistics.median(pair[side].other_s for pair in pairs)
        _write(f"{name}: {speed:.1f} tokens/s; {other_s:.1f} s a run are not work")
    _write(f"ratio {statistics.median(ratios):.3f} [{low:.3f}, {high:.3f}] over {len(pairs)} pairs")


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
