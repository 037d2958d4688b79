"""What GPUs can do: memory, bandwidth, arithmetic, links. From their makers' data sheets."""

from collections.abc import Mapping
from dataclasses import dataclass

from distillery.sizing.precisions import Arithmetic
from distillery.spec.gpus import GpuKind

GIB = 2**30


def gib_text(num_bytes: float) -> str:
    """Such as ``756 GiB``."""
    return f"{num_bytes / GIB:,.0f} GiB"


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """One GPU. Rates are peaks without sparsity; nobody reaches them (``efficiencies.py``).

    ``memory_gib`` is what the driver offers. ``link_gb_s`` is one direction of its link to the
    GPUs of the same node, ``network_gb_s`` its share of the node's network in a cluster built for
    such GPUs.
    """

    memory_gib: float
    bandwidth_gb_s: float
    tflops: Mapping[Arithmetic, float]
    link_gb_s: float
    network_gb_s: float

    def arithmetic_of(self, wanted: Arithmetic) -> Arithmetic:
        """What it multiplies in: ``wanted``, or BF16 where it has no such unit."""
        return wanted if wanted in self.tflops else Arithmetic.BF16


GPUS: Mapping[GpuKind, Gpu] = {
    GpuKind.A100_40: Gpu(
        memory_gib=39.4,
        bandwidth_gb_s=1555,
        tflops={Arithmetic.BF16: 312},
        link_gb_s=300,
        network_gb_s=25,
    ),
    GpuKind.A100_80: Gpu(
        memory_gib=79.25,
        bandwidth_gb_s=2039,
        tflops={Arithmetic.BF16: 312},
        link_gb_s=300,
        network_gb_s=25,
    ),
    GpuKind.H100_80: Gpu(
        memory_gib=79.65,
        bandwidth_gb_s=3350,
        tflops={Arithmetic.BF16: 989.4, Arithmetic.FP8: 1978.9},
        link_gb_s=450,
        network_gb_s=50,
    ),
    GpuKind.H200: Gpu(
        memory_gib=140.4,
        bandwidth_gb_s=4800,
        tflops={Arithmetic.BF16: 989.4, Arithmetic.FP8: 1978.9},
        link_gb_s=450,
        network_gb_s=50,
    ),
    GpuKind.B200: Gpu(
        memory_gib=179.0,
        bandwidth_gb_s=8000,
        tflops={Arithmetic.BF16: 2250, Arithmetic.FP8: 4500, Arithmetic.FP4: 9000},
        link_gb_s=900,
        network_gb_s=50,
    ),
    GpuKind.GB200: Gpu(
        memory_gib=185.0,
        bandwidth_gb_s=8000,
        tflops={Arithmetic.BF16: 2500, Arithmetic.FP8: 5000, Arithmetic.FP4: 10000},
        link_gb_s=900,
        network_gb_s=50,
    ),
    GpuKind.MI300X: Gpu(
        memory_gib=191.5,
        bandwidth_gb_s=5300,
        tflops={Arithmetic.BF16: 1307.4, Arithmetic.FP8: 2614.9},
        link_gb_s=448,
        network_gb_s=50,
    ),
}
"""Data sheets of NVIDIA A100, H100, H200, DGX B200 and GB200 NVL72, and of AMD Instinct MI300X
(Infinity Fabric: 7 links of 64 GB/s a direction). Memory is what the driver
shows, which is less than what the name says; of A100, B200, GB200 and MI300X that is taken off the
name and was looked up nowhere."""
