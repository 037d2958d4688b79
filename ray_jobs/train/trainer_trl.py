"""TRL's trainer, fed with our token ids and loss mask.

Three things are ours: the batches (``Collator``), the loss (the sum over loss-bearing tokens
divided by their number in the whole batch of all workers), and the validation loss (the mean over
all loss-bearing tokens, whatever the batches). Everything else is TRL's and transformers'.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch.nn import functional
from transformers import AutoModelForCausalLM, PrinterCallback
from trl import SFTConfig, SFTTrainer

from ray_jobs.train.examples import ExampleSet

IGNORED = -100
_ROW = "row"

Batch = dict[str, torch.Tensor]


class Collator:
    """Row numbers to a batch, padded on the right. Causal models need no attention mask for that:
    no token sees what stands to its right, and padding bears no loss."""

    def __init__(self, examples: ExampleSet, *, pad_id: int) -> None:
        self._examples = examples
        self._pad_id = pad_id

    def __call__(self, items: Sequence[dict[str, int]]) -> Batch:
        return self.build([item[_ROW] for item in items])

    def build(self, rows: Sequence[int]) -> Batch:
        """``input_ids`` and ``labels``, both ``[len(rows), longest]``."""
        sets, starts = self._examples, self._examples.starts
        spans = [(int(starts[row]), int(starts[row + 1])) for row in rows]
        width = max(end - start for start, end in spans)
        ids_BT = np.full((len(rows), width), self._pad_id, dtype=np.int64)  # noqa: N806
        labels_BT = np.full((len(rows), width), IGNORED, dtype=np.int64)  # noqa: N806
        for index, (start, end) in enumerate(spans):
            ids = sets.ids[start:end]
            ids_BT[index, : end - start] = ids
            labels_BT[index, : end - start] = np.where(sets.mask[start:end], ids, IGNORED)
        return {"input_ids": torch.from_numpy(ids_BT), "labels": torch.from_numpy(labels_BT)}


def dataset_of(rows: Any) -> Dataset:
    """The row numbers as what TRL takes for a data set."""
    return Dataset.from_dict({_ROW: rows})


class StudentTrainer(SFTTrainer):  # type: ignore[misc]
    """See the module. ``autocast``: forward passes in bfloat16, weights in float32."""

    loss_is_scaled_for_ga = True

    def __init__(
        self, *, validation: ExampleSet, pad_id: int, autocast: bool, **options: Any
    ) -> None:
        super().__init__(**options)
        self.model_accepts_loss_kwargs = True
        self._validation = validation
        self._validation_batches = Collator(validation, pad_id=pad_id)
        self._autocast = autocast
        self.remove_callback(PrinterCallback)

    def compute_loss(
        self,
        model: Any,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> torch.Tensor:
        """The batch's share of the loss. Workers' gradients are averaged afterwards, hence the
        factor."""
        del return_outputs
        loss = sum_loss(model, inputs) / num_items_in_batch
        return loss * self.accelerator.num_processes

    def compute_loss_context_manager(self) -> Any:
        """Autocast for the forward pass."""
        if not self._autocast:
            return contextlib.nullcontext()
        return torch.autocast(self.args.device.type, dtype=torch.bfloat16)

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """The validation loss, as ``eval_loss``."""
        model = self.model_wrapped if self.is_deepspeed_enabled else self.model
        model.eval()
        totals = torch.zeros(2, dtype=torch.float64)
        for batch, weight in self._own_batches():
            on_device = {key: value.to(self.args.device) for key, value in batch.items()}
            with torch.no_grad(), self.compute_loss_context_manager():
                loss = sum_loss(model, on_device)
            totals += weight * torch.tensor(
                [loss.item(), (batch["labels"] != IGNORED).sum().item()], dtype=torch.float64
            )
        model.train()
        loss_sum, num_tokens = self.accelerator.reduce(totals.to(self.args.device), "sum").tolist()
        metrics = {"eval_loss": loss_sum / num_tokens}
        self.log(metrics)
        self.control: Any = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """None: the publish stage writes the card."""

    def _own_batches(self) -> Iterator[tuple[Batch, int]]:
        """This worker's validation batches, long rows first, with weight 1; every worker gets
        equally many (ZeRO needs that), the surplus with weight 0."""
        rows = np.argsort(-self._validation.lengths, kind="stable")
        size, world, rank = (
            self.args.per_device_eval_batch_size,
            self.accelerator.num_processes,
            self.accelerator.process_index,
        )
        batches = [rows[start : start + size] for start in range(0, len(rows), size)]
        for start in range(0, len(batches), world):
            index = start + rank
            real = index < len(batches)
            chosen = batches[index] if real else batches[-1]
            yield self._validation_batches.build(chosen.tolist()), int(real)


def sum_loss(model: Any, batch: Batch) -> torch.Tensor:
    """The sum over loss-bearing tokens of -log p(token | tokens before it).

    Logits are computed where some row of the batch bears loss, and nowhere else. On a GPU TRL's
    own head does it (in tiles, so that long replies fit); on a CPU that head scores every place,
    half as fast again as this.
    """
    labels_BT = batch["labels"][:, 1:]  # noqa: N806
    if labels_BT.is_cuda:
        outputs = model(**batch, use_cache=False, fused_lm_head=True)
        return -outputs.log_probs.sum()
    places = (labels_BT != IGNORED).any(dim=0).nonzero()[:, 0]
    logits_BNV = model(  # noqa: N806
        input_ids=batch["input_ids"], use_cache=False, logits_to_keep=places
    ).logits
    return functional.cross_entropy(
        logits_BNV.float().flatten(0, 1),
        labels_BT[:, places].flatten(),
        ignore_index=IGNORED,
        reduction="sum",
    )


def build_config(options: dict[str, Any]) -> SFTConfig:
    """TRL's configuration. Made before the model is loaded: ZeRO-3 shards weights as they load, for
    which DeepSpeed must know the process group that Ray Train has made by then."""
    if options["deepspeed"] is not None:
        import deepspeed

        deepspeed.init_distributed(auto_mpi_discovery=False)
    return SFTConfig(**options)


def load_student(folder: Path) -> Any:
    """The model in float32."""
    return AutoModelForCausalLM.from_pretrained(
        str(folder), dtype=torch.float32, local_files_only=True
    )
