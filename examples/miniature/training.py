"""A plain training loop for the two starting models: small Llamas from random weights.

Not the product's trainer (that is ``ray_jobs.train``): these models stand for what a user
already has, so they are made by nothing of the product's. The loss falls on the reply alone.
All of it is float32: bfloat16 gains a tenth on a CPU with instructions for it, and is several
times slower on one without.
"""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

MAX_LENGTH = 256
IGNORED = -100
NUM_THREADS = 2
ADAM_BETAS = (0.9, 0.98)
WEIGHT_DECAY = 0.01
MAX_GRADIENT_NORM = 1.0
FINAL_RATE = 0.05  # the cosine ends at this share of the peak

Chat = list[dict[str, str]]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A Llama's size; ``heads`` must divide ``hidden``, head size 64 suits every engine."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How a model is trained: AdamW, linear warm-up, cosine down to 5% of the peak rate."""

    steps: int
    batch: int
    learning_rate: float
    warmup_steps: int = 50


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A tokenised chat; the loss falls on the ids from ``num_prompt`` on."""

    ids: tuple[int, ...]
    num_prompt: int


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where training stands after a step; ``loss`` is the batch's mean in nats a token."""

    step: int
    steps: int
    loss: float


def tokenize_chats(tokenizer: "PreTrainedTokenizerFast", *, chats: Sequence[Chat]) -> list[Sample]:
    """Each chat as ids up to the reply's end-of-turn token, by the tokenizer's own template."""
    samples = []
    for chat in chats:
        prompt = tokenizer.apply_chat_template(
            chat[:-1], tokenize=False, add_generation_prompt=True
        )
        text = prompt + chat[-1]["content"] + tokenizer.eos_token
        ids = tokenizer(text)["input_ids"]
        num_prompt = len(tokenizer(prompt)["input_ids"])
        samples.append(Sample(ids=tuple(ids), num_prompt=num_prompt))
    return samples


def build_model(
    shape: Shape, *, tokenizer: "PreTrainedTokenizerFast", seed: int
) -> "LlamaForCausalLM":
    """A Llama of this shape with random weights, tied embeddings and the tokenizer's ids."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden,
        intermediate_size=shape.feed_forward,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=MAX_LENGTH,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def train_model(
    model: "LlamaForCausalLM",
    *,
    batches: Iterator[list[Sample]],
    schedule: Schedule,
    on_step: Callable[[Progress], None],
) -> None:
    """Train ``model`` in place on ``schedule.steps`` batches."""
    import torch

    torch.set_num_threads(NUM_THREADS)
    model.train()
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=schedule.learning_rate,
        betas=ADAM_BETAS,
        weight_decay=WEIGHT_DECAY,
        fused=True,
    )
    for step in range(schedule.steps):
        for group in optimizer.param_groups:
            group["lr"] = schedule.learning_rate * scale_rate(step, schedule=schedule)
        loss = compute_loss(model, samples=next(batches))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_GRADIENT_NORM)
        optimizer.step()
        on_step(Progress(step=step + 1, steps=schedule.steps, loss=loss.item()))
    model.eval()


def compute_loss(model: "LlamaForCausalLM", *, samples: Sequence[Sample]) -> "torch.Tensor":
    """The mean cross-entropy over the batch's reply tokens.

    Padding stands on the right of a causal model, so it needs no attention mask; logits are
    computed at the positions that predict a reply token and nowhere else.
    """
    import torch

    width = max(len(sample.ids) for sample in samples)
    ids_bt = torch.zeros(len(samples), width, dtype=torch.long)
    labels_bt = torch.full((len(samples), width), IGNORED, dtype=torch.long)
    for row, sample in enumerate(samples):
        ids = torch.tensor(sample.ids)
        ids_bt[row, : len(ids)] = ids
        labels_bt[row, sample.num_prompt - 1 : len(ids) - 1] = ids[sample.num_prompt :]
    bears_loss_bt = labels_bt != IGNORED
    hidden_btd = model.model(input_ids=ids_bt, use_cache=False).last_hidden_state
    logits_nv = model.lm_head(hidden_btd[bears_loss_bt])
    return torch.nn.functional.cross_entropy(logits_nv, labels_bt[bears_loss_bt])


def scale_rate(step: int, *, schedule: Schedule) -> float:
    """The share of the peak rate at a step counted from 0: linear rise, then cosine to 5%."""
    if step < schedule.warmup_steps:
        return (step + 1) / schedule.warmup_steps
    done = (step - schedule.warmup_steps) / max(1, schedule.steps - schedule.warmup_steps)
    return FINAL_RATE + (1 - FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * done))


def draw_batches(
    rng: random.Random, *, pools: Sequence[tuple[float, Sequence[Sample]]], batch: int
) -> Iterator[list[Sample]]:
    """Endless batches: each row takes a pool by its weight, then a sample of it at random."""
    weights = [weight for weight, _ in pools]
    while True:
        chosen = rng.choices([samples for _, samples in pools], weights, k=batch)
        yield [rng.choice(samples) for samples in chosen]
