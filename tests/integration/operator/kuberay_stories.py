"""The jobs of ``test_kuberay.py``, each applied with how it goes until a test steps in."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from controller.kube.resources import CONFIG_MAPS
from distillery.progress import Progress
from distillery.spec.job import DistillationJob
from tests.builders import make_document
from tests.controlplane.fixtures import ControlPlane
from tests.doubles.kuberay.behaviour import Behaviour, DriverEnd, Said, fails, hangs
from tests.doubles.kuberay.fates import deleted, oom_killed, preempted, unschedulable
from tests.integration.operator.kuberay_plots import RUNS_S, do_well
from tests.integration.operator.kuberay_world import KubeRayWorld, Story, kuberay_world
from tests.unit.kuberay.all_ray_jobs import SAMPLES, sample_job

STEPS = ("prepare", "generate", "curate", "train-small", "evaluate-small", "publish")
LATER = STEPS[1:]
LINGER_S = 8.0
CHILD_TTL_S = 3
PROGRESS = Progress(
    done=62, total=100, work=7, beat=1, tokens_per_second=1234.0, remaining_seconds=65
)
RETRIABLE = fails("Broken", retriable=True, runs_s=RUNS_S)
FINAL = fails("Hopeless", retriable=False, runs_s=RUNS_S)
GPUS: dict[str, Any] = {
    "teacher__engine": {"type": "vllm", "tensorParallel": 2},
    "students__0__workers": {"replicas": 2, "gpus": 1},
}


@dataclass(frozen=True, kw_only=True)
class Stories:
    """All jobs by name, and the namespaces they are in. ``bare``: what is in a namespace that
    nobody has used."""

    world: KubeRayWorld
    named: dict[str, Story]
    shared: str
    emptied: str
    expiring: str
    tidied: str
    bare: set[str]

    def __getitem__(self, name: str) -> Story:
        return self.named[name]

    def left_in(self, namespace: str) -> set[str]:
        """``<kind>/<name>`` of all that tests have brought into a namespace."""
        return self.world.everything.within(namespace) - self.bare


@contextmanager
def told_stories(installed: ControlPlane, folder: Path) -> Iterator[Stories]:
    """All jobs under way, with KubeRay and the controllers, until the end of the block."""
    with kuberay_world(installed, folder) as world:
        shared, emptied, expiring, tidied = (installed.new_namespace() for _ in range(4))
        world.start_controller(shared, emptied, expiring, folder=folder / "controller")
        world.start_controller(tidied, folder=folder / "tidy", child_ttl_s=CHILD_TTL_S)
        stories = Stories(
            world=world,
            named={},
            shared=shared,
            emptied=emptied,
            expiring=expiring,
            tidied=tidied,
            bare=_bare(world, installed),
        )
        for begun in (*_taken_away(stories), *_whole(stories), *_stopped(stories)):
            stories.named[begun.name] = begun
        for begun in (*_failing(stories), *_refused(stories), *_to_delete(stories)):
            stories.named[begun.name] = begun
        yield stories


def _bare(world: KubeRayWorld, installed: ControlPlane) -> set[str]:
    namespace = installed.new_namespace()
    usual = {"ServiceAccount/default", "ConfigMap/kube-root-ca.crt"}
    world.wait(lambda: world.everything.within(namespace) >= usual)
    return world.everything.within(namespace)


def _taken_away(stories: Stories) -> Iterator[Story]:
    """Those that take longest: their pods are taken away."""

    def begin(name: str, first: Behaviour, **others: Behaviour) -> Story:
        acts = {"prepare/1": first, **others}
        return stories.world.apply(name, namespace=stories.shared, finished=LATER, acts=acts)

    yield begin("preempted", _struck(preempted(after_s=1.0)), **{"prepare/2": RETRIABLE})
    yield begin("out-of-memory", _struck(oom_killed(after_s=1.0)))
    yield begin("head-lost", _struck(deleted(after_s=1.0)))


def _whole(stories: Stories) -> Iterator[Story]:
    """Those that run from end to end."""
    world, shared = stories.world, stories.shared
    document = make_document(storage={"uri": "s3://bucket/store"}, **GPUS)
    job = DistillationJob.model_validate(document)
    speaks = Said(after_s=0.2, progress=PROGRESS)
    acts = {"generate/1": do_well(job, "generate", runs_s=4.0, records=(speaks,))}
    yield world.apply("whole", namespace=shared, document=document, acts=acts)
    for path in SAMPLES:
        sample = sample_job(path).model_dump(mode="json", by_alias=True, exclude_unset=True)
        yield world.apply(f"sample-{path.stem}", namespace=shared, document=sample)
    yield world.apply(
        "expired", namespace=stories.expiring, finished=LATER, ttlSecondsAfterFinished=2
    )


def _stopped(stories: Stories) -> Iterator[Story]:
    """Those that wait for a test in the middle of a step."""
    world, shared = stories.world, stories.shared
    curate = {"curate/1": hangs()}
    yield world.apply("suspended", namespace=shared, acts={"curate/1": _going_slowly(3.0)})
    yield world.apply("again", namespace=shared, acts=curate)
    yield world.apply("forgotten", namespace=shared, acts=curate)
    yield world.apply("fixed", namespace=shared, acts={"prepare/1": hangs()})
    yield world.apply("childless", namespace=shared, finished=LATER, acts={"prepare/1": hangs()})


def _failing(stories: Stories) -> Iterator[Story]:
    """Those whose steps fail."""
    world, shared = stories.world, stories.shared
    slow_to_go = replace(RETRIABLE, pods_linger_s=LINGER_S)
    yield world.apply("retried", namespace=shared, finished=LATER, acts={"prepare/1": slow_to_go})
    first = ("generate", "curate")
    for name, policy in (("fast", "FailFast"), ("patient", "Continue")):
        yield world.apply(
            name,
            namespace=shared,
            finished=first,
            acts={"train-bad/1": FINAL, **({"train-good/1": hangs()} if name == "fast" else {})},
            students=[_student("bad"), _student("good")],
            failurePolicy=policy,
            runtime={"maxParallelSteps": 2},
        )
    yield world.apply(
        "tidied", namespace=stories.tidied, acts={"prepare/1": RETRIABLE, "generate/1": FINAL}
    )


def _refused(stories: Stories) -> Iterator[Story]:
    """Those that may not begin."""
    world, shared = stories.world, stories.shared
    yield world.apply("unfit", namespace=shared, storage={"uri": "file:///store"})
    yield world.apply(
        "wrong", namespace=shared, students__0__arms=["Vanilla", "Gold"], dataset__train__maxRows=3
    )
    foreign = {"metadata": {"name": "clash-progress", "namespace": shared}, "data": {"mine": "1"}}
    world.api.create(CONFIG_MAPS, foreign)
    yield world.apply("clash", namespace=shared, finished=LATER)


def _to_delete(stories: Stories) -> Iterator[Story]:
    """Those that are deleted, each at another moment of its life."""
    world, emptied = stories.world, stories.emptied
    homeless = Behaviour(end=DriverEnd.NEVER, fates=(unschedulable(),))
    yield world.apply("placeless", namespace=emptied, acts={"prepare/1": homeless})
    yield world.apply(
        "training",
        namespace=emptied,
        finished=("generate", "curate"),
        acts={"train-small/1": _going_slowly(2.0)},
        **GPUS,
    )
    yield world.apply("failed", namespace=emptied, acts={"prepare/1": FINAL})
    yield world.apply("done", namespace=emptied, finished=LATER)


def _struck(fate: Any) -> Behaviour:
    """A step that would run for ever."""
    return Behaviour(end=DriverEnd.NEVER, fates=(fate,))


def _going_slowly(linger_s: float) -> Behaviour:
    """A step that runs for ever, and whose pods take their time to go."""
    return Behaviour(end=DriverEnd.NEVER, pods_linger_s=linger_s)


def _student(name: str) -> dict[str, Any]:
    student: dict[str, Any] = make_document()["spec"]["students"][0]
    return {**student, "name": name}
