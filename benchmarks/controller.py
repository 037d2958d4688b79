"""The operator's pace and size on a real kube-apiserver, with thousands of jobs.

Etcd, kube-apiserver and kube-controller-manager are real (``tests/controlplane``), KubeRay's CRDs
too; KubeRay and its pods are ``controller_kuberay.py``. All jobs are there before the controller
starts, so *start* is the heaviest work it can meet: it is over when every job is accepted and as
many steps run as may (each with head, worker and submitter pod). *Steady* is the time after: every
step that runs reports its progress, and a scraper reads /metrics. CPU and memory are the controller
process's alone; requests are what the API server counts of it.

    python -m benchmarks.controller --jobs 5000 --running 500
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from benchmarks.controller_readings import MIB, Reading, fetch_page, take_reading
from benchmarks.controller_scene import Scene, running_kuberay, running_scene

BAR_RECONCILES_PER_CPU_S = 50.0
BAR_RSS_MIB = 256.0
_POLL_S = 0.5
_START_TIMEOUT_S = 60.0


@dataclass(kw_only=True)
class Probe:
    """The controller, looked at from outside. ``most_rss`` is in bytes."""

    process: psutil.Process
    page: str
    scene: Scene
    most_rss: int = 0

    def read(self) -> Reading:
        """A reading."""
        return take_reading(self.process, self.page, self.scene.api)

    def look(self) -> None:
        """Notes the memory held."""
        self.most_rss = max(self.most_rss, self.process.memory_info().rss)


def main(arguments: Sequence[str]) -> int:
    """Runs the benchmark and prints its result; the exit code is 0."""
    options = _parse(arguments)
    with tempfile.TemporaryDirectory() as name, running_scene(Path(name), options) as scene:
        _write(" ".join(f"{key}={value}" for key, value in sorted(vars(options).items())))
        started = time.monotonic()
        num_bytes = scene.create_jobs(options.jobs)
        took_s = time.monotonic() - started
        _write(f"created {options.jobs} jobs of {num_bytes} bytes in {took_s:.1f} s")
        end_watch = scene.watch_jobs()
        with running_kuberay(scene, options) as end_kuberay:
            _measure(scene, options)
            most = end_kuberay()
            _write(f"most RayJobs at work at once: {most} (limit {options.running})")
        end_watch()
    return 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.controller", description="The operator.")
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--running", type=int, default=500, help="steps that may run at once")
    parser.add_argument("--namespaces", type=int, default=10)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--launches-per-second", type=float, default=100.0)
    parser.add_argument("--prepare-s", type=float, default=2.0)
    parser.add_argument("--progress-s", type=float, default=10.0)
    parser.add_argument("--scrape-s", type=float, default=30.0)
    parser.add_argument("--settle-s", type=float, default=30.0, help="between start and steady")
    parser.add_argument("--steady-s", type=float, default=120.0)
    parser.add_argument("--give-up-s", type=float, default=1800.0)
    return parser.parse_args(arguments)


def _measure(scene: Scene, options: argparse.Namespace) -> None:
    started = time.monotonic()
    replica = scene.controllers.start()
    scene.controllers.wait(lambda: "health is served" in scene.controllers.log(0).read_text())
    probe = Probe(
        process=psutil.Process(replica.pid),
        page=f"http://127.0.0.1:{scene.controllers.health_port(0)}/metrics",
        scene=scene,
    )
    first = probe.read()
    _await_start(probe, options, started)
    start_s = time.monotonic() - started
    _report("start", probe.read().since(first), start_s, options)
    _write(f"start: {options.jobs / start_s:.1f} jobs/s, RSS at most {_mib(probe.most_rss)}")
    time.sleep(options.settle_s)
    probe.most_rss = 0
    second = probe.read()
    began = time.monotonic()
    _stay(probe, options)
    steady_s = time.monotonic() - began
    _report("steady", probe.read().since(second), steady_s, options)
    _write(f"steady: RSS at most {_mib(probe.most_rss)} (bar: {BAR_RSS_MIB:g} MiB)")


def _await_start(probe: Probe, options: argparse.Namespace, started: float) -> None:
    """Waits for the state that is to be reached, and tells how it goes."""
    wanted = min(options.running, options.jobs)
    accepted_s = 0.0
    told_at = started
    while True:
        tally = probe.scene.tally()
        probe.look()
        now = time.monotonic()
        if tally.accepted == options.jobs and not accepted_s:
            accepted_s = now - started
            _write(f"start: all accepted after {accepted_s:.1f} s")
        if accepted_s and tally.running >= wanted and not tally.preparing:
            _write(f"start: {tally.running} run after {now - started:.1f} s")
            return
        if now - told_at >= _START_TIMEOUT_S / 4:
            told_at = now
            _write(f"... {now - started:.0f} s: {tally}, RSS {_mib(probe.most_rss)}")
        if now - started > options.give_up_s:
            raise TimeoutError(f"not reached in {options.give_up_s:g} s: {tally}")
        time.sleep(_POLL_S)


def _stay(probe: Probe, options: argparse.Namespace) -> None:
    """The steady time, scraped."""
    until = time.monotonic() + options.steady_s
    scrape_at = time.monotonic() + options.scrape_s
    scrapes = []
    while (now := time.monotonic()) < until:
        probe.look()
        if now >= scrape_at:
            fetch_page(probe.page)
            scrapes.append(time.monotonic() - now)
            scrape_at += options.scrape_s
        time.sleep(_POLL_S)
    if scrapes:
        _write(f"steady: a scrape took {max(scrapes):.2f} s at most")


def _report(name: str, done: Reading, seconds: float, options: argparse.Namespace) -> None:
    number = done.num_reconciles
    _write(
        f"{name}: {seconds:.1f} s, {number} reconciles, {number / seconds:.1f} a second, "
        f"{number / done.cpu_s:.1f} a CPU-second (bar: {BAR_RECONCILES_PER_CPU_S:g}); "
        f"{done.cpu_s:.1f} s of CPU, {done.cpu_s / seconds:.2f} cores"
    )
    _write(f"{name}: results {dict(done.reconciles)}")
    _write(f"{name}: queue latency p50 {done.wait_s(0.5):.3f} s, p99 {done.wait_s(0.99):.3f} s")
    _write(
        f"{name}: {done.requests} requests, {done.requests / options.jobs:.2f} a job, "
        f"{done.requests / seconds:.1f} a second, {done.refused} refused; of them "
        + ", ".join(
            f"{number} {kind} of {done.milliseconds[kind] / number:.0f} ms"
            for kind, number in done.asked.most_common()
        )
    )
    _write(f"{name}: load average at its end {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def _mib(num_bytes: int) -> str:
    return f"{num_bytes / MIB:.0f} MiB"


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
