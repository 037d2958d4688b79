"""What ``benchmarks.controller`` reads: the controller's pages and process, the API server's.

A ``Reading`` is one moment; what happened between two of them is ``since``.
"""

import re
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import psutil  # type: ignore[import-untyped]
from prometheus_client.parser import text_string_to_metric_families

from controller.kube.http import HttpApi

FLOW_SCHEMA = "benchmark-controller"
"""The API server counts the requests of each flow schema; this one is the controller's alone."""
_WAITS = "workqueue_queue_duration_seconds"
_DISPATCHED = re.compile(
    r'^apiserver_flowcontrol_dispatched_requests_total\{flow_schema="([^"]*)".*\} (\S+)$', re.M
)
_REQUESTS = re.compile(r"^(apiserver_request_\w+)\{(.*)\} (\S+)$", re.M)
_NUMBERS, _SECONDS, _ANSWERS = (
    "apiserver_request_duration_seconds_count",
    "apiserver_request_duration_seconds_sum",
    "apiserver_request_total",
)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_OWN_REQUESTS = (
    ("PATCH", "distillationjobs/status"),
    ("POST", "rayjobs"),
    ("POST", "configmaps"),
    ("POST", "serviceaccounts"),
    ("POST", "roles"),
    ("POST", "rolebindings"),
    ("POST", "networkpolicies"),
    ("POST", "events"),
    ("PATCH", "events"),
)
"""Verb and resource of what nobody but the controller asks for here."""
_GOOD = ("200", "201")
MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One moment, or the time between two. ``reconciles`` by result, ``waits`` by the upper bound
    of the bucket (cumulative), ``requests`` in all, ``asked`` by verb and resource, and the
    ``milliseconds`` the API server took for them."""

    cpu_s: float
    reconciles: Counter[str]
    waits: Counter[float]
    requests: int
    asked: Counter[str]
    milliseconds: Counter[str]
    refused: int

    @property
    def num_reconciles(self) -> int:
        """All of them."""
        return sum(self.reconciles.values())

    def since(self, before: "Reading") -> "Reading":
        """What happened between ``before`` and this."""
        return Reading(
            cpu_s=self.cpu_s - before.cpu_s,
            reconciles=self.reconciles - before.reconciles,
            waits=self.waits - before.waits,
            requests=self.requests - before.requests,
            asked=self.asked - before.asked,
            milliseconds=self.milliseconds - before.milliseconds,
            refused=self.refused - before.refused,
        )

    def wait_s(self, quantile: float) -> float:
        """The time a key waited in the queue, by linear interpolation within a bucket as Prometheus
        does it; the last finite bound where it was longer."""
        total = self.waits[float("inf")]
        low_s, below = 0.0, 0
        for bound_s, up_to in sorted(self.waits.items()):
            if up_to >= quantile * total and up_to > below:
                if bound_s == float("inf"):
                    return low_s
                return low_s + (bound_s - low_s) * (quantile * total - below) / (up_to - below)
            low_s, below = bound_s, up_to
        return low_s


def take_reading(process: psutil.Process, page: str, api: HttpApi) -> Reading:
    """Reads now.

    Args:
        process: The controller.
        page: Address of its metrics.
        api: For the API server's metrics.
    """
    times = process.cpu_times()
    text = fetch_page(page)
    server = api.fetch_text("/metrics")
    sums: dict[str, Counter[str]] = {name: Counter() for name in (_NUMBERS, _SECONDS, _ANSWERS)}
    for name, labels, value in _server_samples(server):
        resource = "/".join(filter(None, (labels["resource"], labels.get("subresource", ""))))
        if (labels["verb"], resource) in _OWN_REQUESTS and labels.get("code", "") not in _GOOD:
            factor = 1000 if name == _SECONDS else 1
            sums[name][f"{labels['verb']} {resource}"] += round(value * factor)
    return Reading(
        cpu_s=times.user + times.system,
        reconciles=_reconciles(text),
        waits=_waits(text),
        requests=sum(
            int(float(number))
            for schema, number in _DISPATCHED.findall(server)
            if schema == FLOW_SCHEMA
        ),
        asked=sums[_NUMBERS],
        milliseconds=sums[_SECONDS],
        refused=sum(sums[_ANSWERS].values()),
    )


def fetch_page(address: str) -> str:
    """The text of a page."""
    with urllib.request.urlopen(address, timeout=60) as answer:
        return str(answer.read().decode())


def _server_samples(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    for name, labels, value in _REQUESTS.findall(text):
        if name in (_NUMBERS, _SECONDS, _ANSWERS):
            yield name, dict(_LABEL.findall(labels)), float(value)


def _reconciles(text: str) -> Counter[str]:
    name = "controller_runtime_reconcile_total"
    return Counter({labels["result"]: int(value) for labels, value in _samples(text, name)})


def _waits(text: str) -> Counter[float]:
    return Counter(
        {float(labels["le"]): int(value) for labels, value in _samples(text, f"{_WAITS}_bucket")}
    )


def _samples(text: str, name: str) -> Iterator[tuple[dict[str, str], float]]:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name:
                yield sample.labels, sample.value
