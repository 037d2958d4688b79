"""Seconds of each stage of a finished run, and how many of them are not work.

``python -m benchmarks.stages runs/quickstart``. A stage's seconds are the controller's, from the
Ray job's start to its end; its work is what the stages themselves timed: answers generated, steps
trained. The rest is start-up: Ray's processes, imports, weights and engines loading. Prepare,
curate and publish time no work: for them all seconds stand as one.
"""

import argparse
import json
import sys
from pathlib import Path

from controller.cli.workdir import read_state
from distillery.results import Results, StageCost


def work_by_step(costs: tuple[StageCost, ...]) -> dict[str, float]:
    """Seconds of work by step id; a cost is named after its step, with the trial behind it."""
    totals: dict[str, float] = {}
    for cost in costs:
        words = cost.step.split()
        step = "-".join(words[:2])
        totals[step] = totals.get(step, 0.0) + cost.seconds
    return totals


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workdir", type=Path, help="the folder of a finished `distillery run`")
    workdir = parser.parse_args().workdir
    results = Results.model_validate(json.loads((workdir / "results.json").read_text("utf-8")))
    work = work_by_step(results.costs)
    sys.stdout.write("| stage | seconds | work | not work |\n|---|---|---|---|\n")
    for attempt in read_state(workdir, job=results.job).attempts:
        seconds = (attempt.ended_at or attempt.started_at) - attempt.started_at
        done = work.get(attempt.step)
        parts = f"{done:.1f} | {seconds - done:.1f}" if done is not None else "- | -"
        sys.stdout.write(f"| {attempt.step} | {seconds:.1f} | {parts} |\n")


if __name__ == "__main__":
    main()
