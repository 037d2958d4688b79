"""The stage, walked once: read, ask what the store doesn't know, write the answers down.

The driver only passes things on: prompts from the desk to the fleet, answers back to the desk.
"""

import itertools
import time
from collections.abc import Iterator, Sequence

from distillery.progress import Phase
from distillery.stage_configs import GenerateConfig
from ray_jobs.answers.keys import KeyMaker
from ray_jobs.answers.ledger import read_ledger
from ray_jobs.answers.store import load_index, segments_prefix
from ray_jobs.generate.desk import Desk
from ray_jobs.generate.dispatcher_actor import News
from ray_jobs.generate.engine_actor import EnginePlan
from ray_jobs.generate.fleet import POISON, Fleet
from ray_jobs.generate.inputs import Inputs, read_inputs
from ray_jobs.generate.options import GenerateOptions
from ray_jobs.generate.outputs import Figures, build_summary, store_answers, store_rejected
from ray_jobs.generate.tally import Tally, hopeless_error
from ray_jobs.generate.work import Ask, Scribe, first_asks
from ray_jobs.step import StepResult, StepTools

CHUNK = 1024
"""Asks rendered and tokenised at once; the first chunk with work starts the engines."""

PACKAGES = ("ray", "transformers", "torch", "pyarrow")


def run(
    config: GenerateConfig, tools: StepTools, options: GenerateOptions | None = None
) -> StepResult:
    """Every prompt's answer, from the store or from the teacher.

    Raises:
        SpecError: ``HopelessSuccessRatio``; the model's and the task's own.
        ResourceError: The engine or the disk is out of space.
        ExternalError: Engines die again and again; storage failed.
    """
    options = options or GenerateOptions()
    started_at = time.monotonic()
    tools.reporter.phase(Phase.STARTING)
    inputs = read_inputs(config, tools)
    figures = Figures()
    segments = segments_prefix(namespace=config.context.namespace, teacher=inputs.teacher)
    asks = first_asks(
        inputs.rows, config.inputs.variants, config.inputs.sampling.samples_per_prompt, inputs.task
    )
    tally = Tally(task=inputs.task, asks=asks, min_success_ratio=config.settings.min_success_ratio)
    desk = Desk(
        index=load_index(tools.storage, segments, scratch=tools.scratch),
        write=Scribe(
            task=inputs.task,
            renderer=inputs.renderer,
            keys=KeyMaker(inputs.teacher, inputs.sampling),
            is_structured=config.inputs.structured_outputs,
        ).write,
        max_tokens=config.inputs.max_tokens,
        window=inputs.window,
    )
    figures.read_s = time.monotonic() - started_at
    plan = _plan(config, tools, inputs, segments=segments, options=options)
    with Fleet(plan, num_engines=config.settings.engine.replicas) as fleet:
        driver = _Driver(config, tools, fleet=fleet, desk=desk, tally=tally, figures=figures)
        driver.drive(asks, poll_s=options.poll_s)
    return _finish(config, tools, tally, figures)


class _Driver:
    """Passes work and answers between desk, fleet and tally until every ask has ended."""

    def __init__(
        self,
        config: GenerateConfig,
        tools: StepTools,
        *,
        fleet: Fleet,
        desk: Desk,
        tally: Tally,
        figures: Figures,
    ) -> None:
        self._config = config
        self._tools = tools
        self._fleet = fleet
        self._desk = desk
        self._tally = tally
        self._figures = figures
        self._tokens: dict[str, int] = {}
        self._driven_at = time.monotonic()
        self._first_lease_at = 0.0

    def drive(self, asks: Sequence[Ask], *, poll_s: float) -> None:
        self._begin(Phase.LOADING_WEIGHTS)
        for chunk in _chunks(asks):
            items = self._desk.open(chunk)
            if items:
                self._fleet.add(items)
            self._record()
            if self._fleet.is_started:
                self._turn(wait_s=0)
        if not self._fleet.is_started:
            return
        while self._desk.num_waiting:
            self._turn(wait_s=poll_s)
        self._fleet.finish()
        self._take(self._fleet.take_news())
        self._figures.num_deaths = self._fleet.num_deaths

    def _turn(self, *, wait_s: float) -> None:
        news = self._fleet.take_news()
        self._take(news)
        quarantined = self._fleet.replace_dead(news.stalled, wait_s=wait_s)
        for key in quarantined:
            self._desk.fail(key, POISON)
        self._figures.num_quarantined += len(quarantined)
        self._record()

    def _take(self, news: News) -> None:
        for ready in news.ready:
            if self._figures.engine is None:
                # From here on: what the store served and the loading are no part of the speed.
                self._begin(Phase.RUNNING)
            self._figures.load_s.append(ready.load_s)
            self._figures.engine = ready.info
        if news.first_lease_at and not self._first_lease_at:
            self._first_lease_at = news.first_lease_at
            self._figures.start_s = time.monotonic() - self._driven_at
        if news.last_flush_at:
            self._figures.steady_s = news.last_flush_at - news.first_lease_at
        for flushed in news.flushed:
            self._figures.tokens_answered += sum(answer.num_tokens for answer in flushed.answers)
            items = self._desk.answer(flushed.segment, flushed.answers)
            if items:
                self._fleet.add(items)
            for key, reason in flushed.failures:
                self._desk.fail(key, reason)
        before = sum(self._tokens.values())
        self._tokens.update(news.tokens)
        self._record(work=sum(self._tokens.values()) - before)

    def _begin(self, phase: Phase) -> None:
        self._tools.reporter.begin(
            "answers",
            total=self._tally.total,
            unit="rows",
            done=self._tally.num_done,
            phase=phase,
        )

    def _record(self, *, work: int = 0) -> None:
        """Counts what ended; stops everything where that leaves no hope."""
        verdict = self._tally.record(self._desk.take_ended())
        self._tools.reporter.update(
            self._tally.num_done, work=work, rejected=self._tally.num_rejected
        )
        if verdict is not None:
            self._fleet.finish(is_stopped=True)
            uri = store_rejected(self._config, self._tools, self._tally)
            ratio = self._config.settings.min_success_ratio
            raise hopeless_error(verdict, min_success_ratio=ratio, examples_uri=uri)


def _plan(
    config: GenerateConfig,
    tools: StepTools,
    inputs: Inputs,
    *,
    segments: str,
    options: GenerateOptions,
) -> EnginePlan:
    return EnginePlan(
        settings=inputs.engine,
        model_folder=str(inputs.model_folder),
        stop_token_ids=inputs.renderer.stop_token_ids,
        sampling=inputs.sampling,
        storage=config.context.storage,
        segments=segments,
        ledger=str(tools.scratch / "ledger"),
        options=options,
    )


def _finish(config: GenerateConfig, tools: StepTools, tally: Tally, figures: Figures) -> StepResult:
    tools.reporter.phase(Phase.UPLOADING)
    started_at = time.monotonic()
    artefacts = store_answers(config, tools, tally)
    if tally.rejected:
        store_rejected(config, tools, tally)
    figures.write_s = time.monotonic() - started_at
    return StepResult(
        artefacts=artefacts,
        summary=build_summary(tally, figures, ledger=read_ledger(tools.scratch / "ledger"))
        | {"templateHash": config.inputs.teacher.template_hash},
        packages=PACKAGES,
    )


def _chunks(asks: Sequence[Ask]) -> Iterator[Sequence[Ask]]:
    for start in itertools.count(0, CHUNK):
        chunk = asks[start : start + CHUNK]
        if not chunk:
            return
        yield chunk
