"""The ``distillery`` command: its arguments, and the edge where errors become exit codes.

0: the job succeeded, or every file is valid. 1: it failed. 2: the job file is wrong. 130:
interrupted, and the same command goes on from there. The arguments of the verbs on jobs in a
cluster are ``verbs.py``'s.
"""

import argparse
import importlib.metadata
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

from controller.cli.interrupts import Interrupts
from controller.cli.plan import PlanOptions, parse_rows, show_plan
from controller.cli.run import EXIT_BAD_SPEC, EXIT_FAILED, EXIT_OK, RunOptions, run_job
from controller.cli.verbs import VERBS, Connect, add_verbs, run_verb
from controller.launchers.ray_launcher import Entrypoint
from distillery.errors import DistilleryError, SpecError
from distillery.loading import Rules, load_job, warnings_for
from distillery.local_uris import resolve_uris
from distillery.sizing.estimates import PROMPT_TOKENS
from distillery.spec.job import DistillationJob
from distillery.validation.rules import find_problems, find_problems_but_sizing
from distillery.validation.runtime import find_machine_warnings

_DESCRIPTION = """\
Distil a large model into a small one for one task, as a job file says.

examples:
  distillery validate job.yaml                 what is wrong with it, all at once
  distillery plan job.yaml                     does it fit the GPUs, how long, how much
  distillery run job.yaml                      everything, on this machine
  distillery run job.yaml --set teacher.sampling.maxTokens=256

for jobs in a cluster (kubectl apply -f job.yaml starts one; kubectl distillery ... is the same):
  distillery status commonsense -n team-a      how it is, and what it waits for
  distillery logs commonsense -n team-a -f     the log of the step that runs
"""

_RUN = """\
Run a job's steps: prepare, generate, curate, train, evaluate, publish.

Steps that are finished are never run twice: after Ctrl-C, a crash or an edit of the job file, the
same command goes on, and runs just what is missing or has changed. Report, results and the logs of
every step are kept in the run's folder.

examples:
  distillery run job.yaml
  distillery run job.yaml --workdir /data/runs/first
  distillery run job.yaml --set spec.students[0].training.epochs=1 --set retries.maxAttempts=1
  RAY_AUTH_TOKEN=... distillery run job.yaml --ray-address http://ray-head:8265

exit codes: 0 succeeded, 1 failed, 2 the job file is wrong, 130 interrupted
"""

_PLAN = """\
Say whether teacher and students fit the GPUs, how long each step takes, and what it costs.

The kind of GPU is spec.runtime.gpus. Models are known by the config.json of a folder on this
machine, or by their names. Nothing is downloaded or started.

examples:
  distillery plan job.yaml
  distillery plan job.yaml --set runtime.gpus.kind=H200-141GB --set runtime.gpus.usdPerHour=3.5
  distillery plan job.yaml --rows train=100000 --prompt-tokens 800 --answer-tokens 400 --json

exit codes: 0 it fits, 1 it doesn't, 2 the job file is wrong or something isn't known
"""


def main(
    argv: Sequence[str] | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    out: TextIO | None = None,
    err: TextIO | None = None,
    entrypoint: Entrypoint | None = None,
    connect: Connect | None = None,
) -> int:
    """Runs the command; returns its exit code.

    Args:
        entrypoint: What runs a stage, for tests. Default: the stages themselves.
        connect: The way to the API server, for tests. Default: by kubeconfig.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    parsed = _parser().parse_args(arguments)
    out = out if out is not None else sys.stdout
    err = err if err is not None else sys.stderr
    try:
        if parsed.command == "validate":
            return _validate(parsed.files, parsed.overrides, out=out, err=err)
        if parsed.command in VERBS:
            return run_verb(parsed, out, connect=connect)
        if parsed.command == "plan":
            return _plan(parsed, out=out, err=err)
        job = _load(parsed.file, parsed.overrides)
        _warn(job, err)
        err.writelines(f"warning: {each}\n" for each in find_machine_warnings(job.spec))
        options = RunOptions(
            workdir=Path(parsed.workdir or Path("runs") / job.metadata.name),
            ray_address=parsed.ray_address,
            command=shlex.join(["distillery", *arguments]),
            environ=environ,
            out=out,
        )
        with Interrupts().installed() as interrupts:
            return run_job(job, options, interrupts=interrupts, entrypoint=entrypoint)
    except SpecError as error:
        err.write(f"{error.message}\n")
        return EXIT_BAD_SPEC
    except DistilleryError as error:
        err.write(f"{error.message}\n")
        return EXIT_FAILED


def _validate(files: Sequence[str], overrides: Sequence[str], *, out: TextIO, err: TextIO) -> int:
    code = EXIT_OK
    for file in files:
        try:
            job = _load(file, overrides)
        except SpecError as error:
            code = EXIT_BAD_SPEC
            prefix = f"{file}: " if len(files) > 1 else ""
            err.writelines(f"{prefix}{line}\n" for line in error.message.splitlines())
        else:
            _warn(job, err)
            out.write(f"{file}: valid\n")
    return code


def _plan(parsed: argparse.Namespace, *, out: TextIO, err: TextIO) -> int:
    options = PlanOptions(
        rows=parse_rows(parsed.rows),
        prompt_tokens=parsed.prompt_tokens,
        answer_tokens=parsed.answer_tokens,
        as_json=parsed.json,
    )
    job = _load(parsed.file, parsed.overrides, rules=find_problems_but_sizing)
    _warn(job, err)
    return show_plan(job.spec, options, out)


def _load(file: str, overrides: Sequence[str], *, rules: Rules = find_problems) -> DistillationJob:
    path = Path(file)
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        what = getattr(error, "strerror", None) or "is no UTF-8 text"
        raise SpecError(
            f"{file}: can't be read, {what.lower()}; name a DistillationJob file",
            reason="JobFileUnreadable",
        ) from error
    return load_job(
        text,
        overrides=overrides,
        source=file,
        resolve=lambda job: resolve_uris(job, base=os.getcwd()),
        rules=rules,
    )


def _warn(job: DistillationJob, err: TextIO) -> None:
    err.writelines(f"warning: {problem}\n" for problem in warnings_for(job))


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not number > 0:
        raise argparse.ArgumentTypeError(f"must be a number above 0, got '{text[:80]}'")
    return number


def _version() -> str:
    try:
        return importlib.metadata.version("distillery")
    except importlib.metadata.PackageNotFoundError:
        return "(run from its source, not installed)"


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="distillery", description=_DESCRIPTION, formatter_class=raw
    )
    parser.add_argument("--version", action="version", version=f"distillery {_version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run", help="run a job to its end", description=_RUN, formatter_class=raw
    )
    run.add_argument("file", metavar="FILE", help="the DistillationJob, as YAML or JSON")
    run.add_argument(
        "--workdir", metavar="DIR", help="the run's folder; default: runs/<job's name>"
    )
    run.add_argument(
        "--ray-address",
        metavar="URL",
        default="",
        help="use an existing Ray cluster, whose dashboard this is (http://host:8265); the token "
        "is taken from RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH, and the run's folder must be at the "
        "same path there; default: start Ray here and stop it at the end",
    )
    validate = commands.add_parser(
        "validate",
        help="say all that is wrong with a job file",
        description="Check job files without running anything. Exit code 2 if one is wrong.",
    )
    validate.add_argument("files", metavar="FILE", nargs="+")
    plan = commands.add_parser(
        "plan", help="does it fit, how long, how much", description=_PLAN, formatter_class=raw
    )
    plan.add_argument("file", metavar="FILE", help="the DistillationJob, as YAML or JSON")
    plan.add_argument(
        "--rows",
        metavar="SPLIT=N",
        action="append",
        default=[],
        help="prepared rows of train, validation or test; default: the job's maxRows, or a JSONL "
        "file's lines; repeatable",
    )
    plan.add_argument(
        "--prompt-tokens",
        metavar="N",
        type=_positive,
        help=f"mean length of a prompt; default: {PROMPT_TOKENS:g}",
    )
    plan.add_argument(
        "--answer-tokens",
        metavar="N",
        type=_positive,
        help="mean length of a teacher's answer; default: half of sampling.maxTokens",
    )
    plan.add_argument("--json", action="store_true", help="print the plan as JSON")
    for command in (run, validate, plan):
        command.add_argument(
            "--set",
            dest="overrides",
            metavar="PATH=VALUE",
            action="append",
            default=[],
            help="change a field of the job, such as teacher.sampling.maxTokens=256; repeatable",
        )
    add_verbs(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
