"""How much of a GPU's peaks an engine reaches: one set for an engine and a year. Pure.

A set holds on every GPU: generations differ by their peaks and number formats alone. Sets are
fitted to published throughputs of dense models, which ``tests/unit/sizing/published.py`` lists;
docs/sizing.md tells how well each fits, and what it was not compared with.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from distillery.sizing.precisions import Arithmetic

FP4_SHARE = 0.575
"""Of the share of the peak reached in wider formats: what isn't multiplication weighs more."""


@dataclass(frozen=True, kw_only=True)
class Efficiency:
    """Shares of the peaks that are reached, and what each layer costs besides.

    ``compute`` is by arithmetic; ``layer_s`` are seconds a layer takes in each turn whatever it
    computes: launches, and waiting for the other GPUs.
    """

    engine: str
    year: int
    compute: Mapping[Arithmetic, float]
    bandwidth: float
    link: float
    layer_s: float

    @property
    def name(self) -> str:
        """Such as ``vllm 2025``."""
        return f"{self.engine} {self.year}"


def _compute(share: float) -> Mapping[Arithmetic, float]:
    return {
        Arithmetic.BF16: share,
        Arithmetic.FP8: share,
        Arithmetic.FP4: share * FP4_SHARE,
    }


VLLM_2024 = Efficiency(
    engine="vllm", year=2024, compute=_compute(0.2), bandwidth=0.375, link=1.0, layer_s=0.0
)
"""vLLM 0.5 and 0.6: Llama-3.1-405B FP8 on 8 H100 (vLLM's blog) and 8 MI300X (Oracle's blog)."""

VLLM_2025 = Efficiency(
    engine="vllm", year=2025, compute=_compute(0.5), bandwidth=0.95, link=0.215, layer_s=103e-6
)
"""vLLM 0.10: Llama-3.1-405B FP8 on 8 MI300X (AMD's notes). Those figures hardly tell compute from
links: 0.5 is a choice, and ``link`` was fitted beside it."""

TENSORRT_LLM_2025 = Efficiency(
    engine="tensorrt-llm",
    year=2025,
    compute=_compute(0.67),
    bandwidth=0.95,
    link=0.54,
    layer_s=148e-6,
)
"""TensorRT-LLM 1.0: Llama-3.1-405B and 3.3-70B in FP8 and FP4 on H100, H200 and B200 (its
performance overview)."""

DEFAULT_EFFICIENCY = VLLM_2025
"""Of estimates: the latest set of the engine that generate runs."""
