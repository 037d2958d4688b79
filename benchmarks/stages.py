"""Seconds of each stage of a finished run, and how many of them are not work.

``python -m benchmarks.stages runs/quickstart``. A stage's seconds are the controller's, from the
Ray job's start to its end, all attempts together; its work is what the stages themselves timed:
answers generated, steps trained. The rest is start-up: Ray's processes, imports, weights and
engines loading. Prepare, curate and publish time no work: for them all seconds stand as one.
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
    seconds: dict[str, float] = {}
    for attempt in read_state(workdir, job=results.job).attempts:
        if attempt.ended_at is not None:
            took = attempt.ended_at - attempt.started_at
            seconds[attempt.step] = seconds.get(attempt.step, 0.0) + took
    sys.stdout.write("| stage | seconds | work | not work |\n|---|---|---|---|\n")
    for step, total in seconds.items():
        done = work.get(step)
        parts = f"{done:.1f} | {total - done:.1f}" if done is not None else "- | -"
        sys.stdout.write(f"| {step} | {total:.1f} | {parts} |\n")


if __name__ == "__main__":
    main()
