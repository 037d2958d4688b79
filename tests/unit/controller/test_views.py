"""What the user sees of a run: lines, the moving table, the last words."""

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console

from controller.cli.ending import tell_failure, tell_success
from controller.cli.hints import hint_for
from controller.cli.progress_text import duration, progress_text
from controller.cli.published import Published, settle_results
from controller.cli.views import PlainView, TerminalView
from controller.cli.workdir import RunState, read_state
from controller.plan.planner import plan
from controller.plan.snapshot import Attempt
from distillery.progress import Phase, Progress
from distillery.results import Results, TrialResult
from distillery.status import JobStatus
from distillery.steps import Stage
from distillery.tasks import TaskName
from tests.attempts import (
    NOW,
    RUN,
    make_attempt,
    make_ended,
    make_failure,
    make_outcome,
    make_prepared,
    make_snapshot,
)
from tests.builders import make_job

START = datetime.fromtimestamp(NOW, tz=UTC)
PROGRESS = Progress(
    label="train",
    done=1200,
    total=6000,
    rejected=3,
    tokens_per_second=1234.5,
    remaining_seconds=65.2,
)
RESULTS = Results(
    job="sums",
    namespace="default",
    task=TaskName.MATH,
    metric="exact_match",
    trials=(
        TrialResult(
            student="small",
            arm="Vanilla",
            seed=1,
            metric="exact_match",
            value=0.5,
            ci_low=0.45,
            ci_high=0.55,
            num_rows=1000,
            num_unparsable=36,  # of 3,000 answers: dialogues have several a row
            other_metrics={"unparsable_rate": 0.012},
            num_tokens=4321,
            seconds=75,
        ),
        TrialResult(
            student="teacher",
            arm="Vanilla",
            seed=None,
            metric="exact_match",
            value=0.4,
            ci_low=0.35,
            ci_high=0.45,
            num_rows=1000,
            num_unparsable=0,
        ),
    ),
    notes=("the teacher is small",),
)


def status_of(*attempts: Attempt) -> JobStatus:
    """The status after a good prepare and these attempts."""
    return plan(make_snapshot(make_prepared(make_job()), *attempts), NOW).status


def written(status: JobStatus, *, terminal: bool) -> str:
    """What a console shows of it."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=120, color_system=None)
    with TerminalView(console, now=lambda: START) as view:
        view.show(status)
    return out.getvalue()


def test_durations_are_short() -> None:
    assert [duration(each) for each in (9.4, 245, 7380)] == ["9 s", "4 min 05 s", "2 h 03 min"]


def test_progress_is_told_in_the_steps_own_units() -> None:
    assert progress_text(None) == "starting"
    assert progress_text(PROGRESS) == "train: 1,200/6,000 rows, 3 rejected"
    assert progress_text(Progress(phase=Phase.LOADING_WEIGHTS)) == "loading weights"
    assert progress_text(Progress(label="base", unit="steps", done=4)) == "base: 4 steps"


def test_the_terminal_shows_a_line_a_step() -> None:
    shown = written(status_of(make_attempt("generate", progress=PROGRESS)), terminal=True)
    line = [line for line in shown.splitlines() if line.startswith("generate")][-1]
    for want in ("running", "1,200/6,000 rows", "1,234 tokens/s", "1 min 05 s left", "50 s"):
        assert want in line
    for step in ("prepare", "curate", "train-small", "evaluate-small", "publish"):
        assert step in shown


def test_plain_lines_tell_changes_at_once_and_progress_every_ten_seconds() -> None:
    now = [START]
    out = io.StringIO()
    view = PlainView(out, now=lambda: now[0])
    running = status_of(make_attempt("generate", progress=PROGRESS))
    for seconds in (0, 5, 11, 12):
        now[0] = START + timedelta(seconds=seconds)
        view.show(running)
    view.show(status_of(make_ended("generate", make_failure(retriable=True))))
    lines = [line.split(" ", 1)[1] for line in out.getvalue().splitlines()]
    assert lines == [
        "prepare: done, 40 s",
        "generate: running, train: 1,200/6,000 rows, 3 rejected",
        "generate: train: 1,200/6,000 rows, 3 rejected, 1,234 tokens/s, 1 min 05 s left",
        "generate: backing off, it broke",
    ]


def test_a_failure_is_told_whole_with_hint_and_log(tmp_path: Path) -> None:
    outcome = make_failure("BucketMissing").model_copy(update={"message": "it broke\nhere too"})
    attempt = make_ended("generate", outcome, number=2)
    status = status_of(attempt)
    assert status.stages[1].message == "it broke (and 1 more)"
    out = io.StringIO()
    console = Console(file=out, width=80)
    tell_failure(console, status, attempts=[attempt], workdir=tmp_path, command="distillery run j")
    assert out.getvalue().splitlines() == [
        "generate failed (BucketMissing): it broke",
        "  here too",
        "  what to do: create the bucket, or mend storage.uri",
        f"  log: {tmp_path}/logs/generate-2.log",
        "go on with: distillery run j",
    ]


def test_there_is_a_hint_for_every_stage() -> None:
    assert all(hint_for(stage, reason="NeverSeen") for stage in Stage)


def test_the_end_shows_every_arm_and_where_all_lies(tmp_path: Path) -> None:
    out = io.StringIO()
    console = Console(file=out, width=120)
    tell_success(console, Published(uri="file:///store/p", results=RESULTS), workdir=tmp_path)
    shown = out.getvalue()
    (row,) = [line for line in shown.splitlines() if line.strip("│ ").startswith("small")]
    for want in ("Vanilla", "1", "0.500", "0.450 to 0.550", "1.2%", "4,321", "1 min 15 s"):
        assert want in row
    assert "note: the teacher is small" in shown
    assert f"report:  {tmp_path}/report.html" in shown
    assert f"results: {tmp_path}/results.json" in shown
    assert "weights: file:///store/p" in shown


def test_results_of_another_publish_are_replaced_by_those_in_storage(tmp_path: Path) -> None:
    workdir, store = tmp_path / "run", tmp_path / "store"
    workdir.mkdir()
    (workdir / "results.json").write_text("of an edited job")
    (workdir / "report.html").write_text("of an edited job")
    (store / "old-publish").mkdir(parents=True)
    (store / "old-publish" / "results.json").write_text(RESULTS.model_dump_json(by_alias=True))
    job = make_job(storage__uri=store.as_uri())
    every = ("generate", "curate", "train-small", "evaluate-small", "publish")
    state = RunState(job="sums", attempts=(make_prepared(job, finished=every),), published="x")
    found = settle_results(workdir, state, job=job, run=RUN)
    assert found == Published(uri=f"{store.as_uri()}/old-publish", results=RESULTS)
    assert not (workdir / "report.html").exists()
    assert read_state(workdir, job="sums").published == "old-publish"


def test_results_that_this_run_published_stay(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(RESULTS.model_dump_json(by_alias=True))
    job = make_job()
    prepared = make_prepared(job, finished=("generate", "curate", "train-small", "evaluate-small"))
    publish = make_ended("publish", make_outcome("publish"))
    state = RunState(job="sums", attempts=(prepared, publish))
    assert settle_results(tmp_path, state, job=job, run=RUN).results == RESULTS
