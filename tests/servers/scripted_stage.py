"""A stand-in for a stage's process, run as a Ray job by tests of the controller.

``python scripted_stage.py SCRIPT``: the JSON file maps step ids to what that step does. Each entry
may have ``sleep_s``, ``outcome`` (``ok`` by default, ``fail``, ``retriable`` or ``die``), ``times``
(how often that outcome; afterwards ``ok``) and ``until``: a file to wait for. The script's
``journal`` gets a line ``start STEP ATTEMPT PID`` and, when it went well, ``done STEP``; prepare
reports finished what stands there as done. ``overlap STEP`` is written by a process that starts
while an earlier one still lives.

As a command, ``python -m tests.servers.scripted_stage SCRIPT run JOB ...`` is ``distillery run``
with these stages.
"""

import hashlib
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from controller.cli.main import main as command_main
from distillery.manifests import ManifestRef
from distillery.progress import Outcome, OutcomeState, Phase, Progress, outcome_line, progress_line
from distillery.stage_configs import (
    CONFIG_VARIABLE,
    PinnedModel,
    PrepareConfig,
    PrepareVerdict,
    parse_stage_config,
)


def main(script_path: Path) -> int:
    """Does what the script says for the step in the environment's config."""
    script = json.loads(script_path.read_text("utf-8"))
    config = parse_stage_config(os.environ[CONFIG_VARIABLE])
    context = config.context
    acts: dict[str, Any] = script.get("steps", {}).get(context.step, {})
    journal = Path(script["journal"])
    _note_overlap(journal, context.step)
    _note(journal, f"start {context.step} {context.attempt} {os.getpid()}")
    progress = Progress(phase=Phase.RUNNING, label=context.step, done=1, total=2)
    sys.stdout.write(progress_line(progress) + "\n")
    sys.stdout.flush()
    while (until := acts.get("until")) and not Path(until).exists():
        time.sleep(0.05)
    kind = acts.get("outcome", "ok")
    if journal.read_text("utf-8").count(f"start {context.step} ") > acts.get("times", 10**6):
        kind = "ok"
    if kind == "die":
        os._exit(9)
    if kind == "ok":
        ref = _ref(context.prefix or "jobs/default/prepare")
        verdict = {}
        if isinstance(config, PrepareConfig):
            verdict = _verdict(config, journal, ref).dump()
        else:
            _note(journal, f"done {context.step}")
        outcome = Outcome(state=OutcomeState.SUCCEEDED, manifest=ref, summary=verdict)
    else:
        outcome = Outcome(
            state=OutcomeState.FAILED,
            reason="RowsMissing" if kind == "fail" else "StorageUnreachable",
            message=f"{context.step}: was told to fail",
            retriable=kind == "retriable",
        )
    sys.stdout.write(outcome_line(outcome) + "\n")
    return 0 if kind == "ok" else 1


def _verdict(config: PrepareConfig, journal: Path, ref: ManifestRef) -> PrepareVerdict:
    names = ["teacher", *(f"students/{student.name}" for student in config.spec.students)]
    pins = {name: PinnedModel(uri="file:///m", digest="d", template_hash="t") for name in names}
    lines = [line.split() for line in journal.read_text("utf-8").splitlines()]
    finished = {words[1]: _ref(f"old/{words[1]}") for words in lines if words[0] == "done"}
    return PrepareVerdict(dataset=ref, pins=pins, finished=finished)


def _ref(prefix: str) -> ManifestRef:
    return ManifestRef(prefix=prefix, sha256=hashlib.sha256(prefix.encode()).hexdigest())


def _note_overlap(journal: Path, step: str) -> None:
    if not journal.exists():
        return
    for line in journal.read_text("utf-8").splitlines():
        words = line.split()
        if words[0] == "start" and Path(f"/proc/{words[3]}").exists():
            _note(journal, f"overlap {step}")


def _note(journal: Path, line: str) -> None:
    with journal.open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def run_command(script: str, arguments: Sequence[str]) -> int:
    """``distillery ARGUMENTS`` with scripted stages."""
    return command_main(
        arguments, entrypoint=lambda stage: (sys.executable, str(Path(__file__)), script)
    )


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.exit(run_command(sys.argv[1], sys.argv[2:]))
    sys.exit(main(Path(sys.argv[1])))
