"""Published throughputs that predictions are compared with. Facts of others, with their source.

Output tokens a second of one replica, for prompts and answers of fixed length; ``num_in_flight`` is
the most sequences at once, where the source bounds them.
"""

from dataclasses import dataclass

from distillery.sizing.efficiencies import TENSORRT_LLM_2025, VLLM_2024, VLLM_2025, Efficiency
from distillery.sizing.engine_memory import EngineFormats
from distillery.sizing.precisions import KvFormat, WeightFormat
from distillery.spec.gpus import GpuKind

MANY = 4096
TENSORRT_DEFAULT_SEQS = 2048


@dataclass(frozen=True, kw_only=True)
class Published:
    """One figure."""

    model: str
    gpu: GpuKind
    tensor_parallel: int
    weights: WeightFormat
    prompt_tokens: int
    answer_tokens: int
    tokens_per_s: float
    efficiency: Efficiency
    num_requests: int = MANY
    num_in_flight: int = MANY
    kv: KvFormat = KvFormat.FP8

    @property
    def formats(self) -> EngineFormats:
        """Of weights and KV cache."""
        return EngineFormats(weights=self.weights, kv=self.kv)

    @property
    def id(self) -> str:
        """For a test's name."""
        return (
            f"{self.efficiency.engine}-{self.model}-{self.gpu}-"
            f"{self.prompt_tokens}-{self.answer_tokens}-{self.num_in_flight}"
        )


_LENGTHS = (
    (128, 128, 30000),
    (128, 2048, 3000),
    (128, 4096, 1500),
    (500, 2000, 3000),
    (1000, 1000, 3000),
    (1000, 2000, 1500),
    (2048, 128, 3000),
    (2048, 2048, 1500),
    (5000, 500, 1500),
    (20000, 2000, 1000),
)
"""Prompt, answer and number of requests of TensorRT-LLM's performance overview."""


def _overview(
    model: str, gpu: GpuKind, tensor_parallel: int, weights: WeightFormat, *figures: float
) -> list[Published]:
    """A column of the performance overview of TensorRT-LLM 1.0."""
    return [
        Published(
            model=model,
            gpu=gpu,
            tensor_parallel=tensor_parallel,
            weights=weights,
            prompt_tokens=prompt,
            answer_tokens=answer,
            num_requests=num_requests,
            num_in_flight=TENSORRT_DEFAULT_SEQS,
            tokens_per_s=figure,
            efficiency=TENSORRT_LLM_2025,
        )
        for (prompt, answer, num_requests), figure in zip(_LENGTHS, figures, strict=True)
    ]


_405B, _70B, _8B = "llama-3.1-405b", "llama-3.3-70b", "llama-3.1-8b"
_FP8, _FP4 = WeightFormat.FP8, WeightFormat.FP4

# fmt: off
TENSORRT_FITTED = [
    *_overview(_405B, GpuKind.H100_80, 8, _FP8,
               3627, 4340, 3116, 3994, 2919, 2895, 453, 2296, 610, 345),
    *_overview(_405B, GpuKind.H200, 8, _FP8,
               3814, 5348, 4741, 4724, 3330, 3722, 456, 2948, 650, 505),
    *_overview(_405B, GpuKind.B200, 4, _FP4,
               6281, 8020, 6345, 6244, 5209, 4933, 749, 4212, 1048, 672),
    *_overview(_70B, GpuKind.H200, 1, _FP8,
               3803, 4336, 2872, 3666, 2909, 2994, 442, 2003, 566, 283),
    *_overview(_70B, GpuKind.B200, 1, _FP4,
               11147, 9922, 6831, 7762, 7007, 6271, 1339, 4783, 1459, 665),
]
"""What the set was fitted to."""

TENSORRT_KEPT_BACK = [
    *_overview(_405B, GpuKind.GB200, 4, _FP4,
               6740, 8151, 6608, 6540, 5389, 5135, 797, 4407, 1112, 739),
    *_overview(_70B, GpuKind.H100_80, 2, _FP8,
               6378, 6651, 4199, 5222, 4205, 4146, 762, 3082, 898, 437),
    *_overview(_8B, GpuKind.H100_80, 1, _FP8,
               28312, 22714, 14325, 17660, 15220, 13899, 3450, 9305, 3459, 1351),
    *_overview(_8B, GpuKind.H200, 1, _FP8,
               27911, 26221, 18027, 20770, 17744, 16828, 3538, 12194, 3902, 1804),
]
"""What it was not fitted to: other GPUs, layouts and sizes."""
# fmt: on


def _vllm_2024(gpu: GpuKind, prompt: int, answer: int, in_flight: int, figure: float) -> Published:
    return Published(
        model=_405B,
        gpu=gpu,
        tensor_parallel=8,
        weights=_FP8,
        prompt_tokens=prompt,
        answer_tokens=answer,
        num_in_flight=in_flight,
        tokens_per_s=figure,
        efficiency=VLLM_2024,
        kv=KvFormat.BF16,
    )


_VLLM_DEFAULT_SEQS = 256

VLLM_2024_FITTED = [
    # vLLM's blog on Llama 3.1, 2024-07-23: 2.82 requests/s.
    _vllm_2024(GpuKind.H100_80, 1024, 128, _VLLM_DEFAULT_SEQS, 292),
    # Oracle's blog on serving Llama 3.1 405B with MI300X, 2024-10-10: by batch, then throughput.
    *(
        _vllm_2024(GpuKind.MI300X, 128, 128, batch, figure)
        for batch, figure in (
            (1, 36),
            (2, 71),
            (4, 137),
            (8, 258),
            (16, 468),
            (32, 798),
            (64, 1184),
            (128, 1585),
        )
    ),
    _vllm_2024(GpuKind.MI300X, 128, 128, _VLLM_DEFAULT_SEQS, 1993),
    _vllm_2024(GpuKind.MI300X, 128, 2048, _VLLM_DEFAULT_SEQS, 2794),
]

_AMD_LATENCIES = {
    # Prompt length: seconds for 2,048 tokens each, by batch size.
    128: (48.453, 49.268, 51.136, 54.226, 57.274, 68.901, 88.631, 117.027),
    2048: (48.362, 49.121, 52.347, 54.471, 57.841, 70.538, 91.452, 125.471),
}
"""AMD's notes on vLLM 0.10 with 8 MI300X, Llama-3.1-405B FP8."""


def _amd(
    prompt: int,
    answer: int,
    in_flight: int,
    figure: float,
    *,
    model: str = _405B,
    kv: KvFormat = KvFormat.FP8,
) -> Published:
    return Published(
        model=model,
        gpu=GpuKind.MI300X,
        tensor_parallel=8,
        weights=_FP8,
        prompt_tokens=prompt,
        answer_tokens=answer,
        num_requests=in_flight,
        num_in_flight=in_flight,
        tokens_per_s=figure,
        efficiency=VLLM_2025,
        kv=kv,
    )


VLLM_2025_FITTED = [
    *(
        _amd(prompt, 2048, 2**power, 2**power * 2048 / seconds, kv=KvFormat.BF16)
        for prompt, column in _AMD_LATENCIES.items()
        for power, seconds in enumerate(column)
    ),
    _amd(128, 2048, 1500, 3867.7),
    _amd(128, 4096, 1500, 3043.3),
    _amd(500, 2000, 2000, 2905.6),
    _amd(2048, 2048, 500, 2174.1),
]
"""The notes' latencies, and their throughputs: of output tokens, for 500 sequences would otherwise
be slower than the 128 of the latencies."""

VLLM_2025_KEPT_BACK = [
    _amd(128, 2048, 3200, 13383.3, model=_70B),
    _amd(128, 4096, 1500, 11203.6, model=_70B),
    _amd(500, 2000, 2000, 10963.3, model=_70B),
    _amd(2048, 2048, 1500, 7560.9, model=_70B),
]
