"""What the miniature is made of: who learns what from how many rows, in how many steps.

The teacher reasons well and adds four numbers at a glance badly; the student's base adds only
two. So answers that come from reasoning are worth much more to the student than the teacher's
short answers, which is the effect the quick start shows. All settings were chosen on the
validation rows (``docs/benchmarks/`` holds the figures), none on the test rows.
"""

import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from examples.miniature import problems, prompts, tokenizer, training

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

NUM_TRAIN, NUM_VALIDATION, NUM_TEST = 6000, 400, 1200

TEACHER_SHAPE = training.Shape(hidden=192, layers=3, heads=3, feed_forward=512)
TEACHER_SCHEDULE = training.Schedule(steps=420, batch=32, learning_rate=3e-3)
# The plain rows set how well the teacher answers at a glance: none, and its short answers teach
# nothing; many, and reasoning has no lead left.
REASONED_WEIGHT, PAIRS_WEIGHT, PLAIN_WEIGHT = 0.55, 0.3, 0.15
NUM_REASONED, NUM_PAIRS, NUM_PLAIN = 8000, 6000, 2500

STUDENT_SHAPE = training.Shape(hidden=128, layers=2, heads=2, feed_forward=344)
STUDENT_SCHEDULE = training.Schedule(steps=200, batch=64, learning_rate=2e-3)
NUM_STUDENT_PAIRS = 6000

STEPS_BETWEEN_REPORTS = 50

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Material:
    """Every problem of the miniature; no question stands in two of the lists."""

    train: Sequence[problems.Problem]
    validation: Sequence[problems.Problem]
    test: Sequence[problems.Problem]
    teacher_reasoned: Sequence[problems.Problem]
    teacher_pairs: Sequence[problems.Problem]
    teacher_plain: Sequence[problems.Problem]
    student_pairs: Sequence[problems.Problem]


def write_material(seed: int) -> Material:
    """All problems by this seed; both models learn from train's multisets and from pairs."""
    rng = random.Random(seed)
    split = problems.split_multisets(rng)
    writer, pairs = problems.Writer(rng), problems.list_pairs()
    return Material(
        train=writer.write(NUM_TRAIN, multisets=split.train),
        validation=writer.write(NUM_VALIDATION, multisets=split.validation),
        test=writer.write(NUM_TEST, multisets=split.test),
        teacher_reasoned=writer.write(NUM_REASONED, multisets=split.train),
        teacher_pairs=writer.write(NUM_PAIRS, multisets=pairs),
        teacher_plain=writer.write(NUM_PLAIN, multisets=split.train),
        student_pairs=writer.write(NUM_STUDENT_PAIRS, multisets=pairs),
    )


def make_all(out: Path, *, seed: int, say: Say) -> None:
    """Write ``data/``, ``teacher/`` and ``student/`` under ``out``; the same seed, the same data.

    Args:
        out: The folder; what lies there already is replaced.
        seed: Decides the problems, the initial weights and the order of training rows.
        say: Takes a line of progress for the person who waits.
    """
    material = write_material(seed)
    write_data(out / "data", material=material)
    say(f"data: {NUM_TRAIN} train, {NUM_VALIDATION} validation, {NUM_TEST} test questions")
    tokens = build_tokenizer(material)
    say(f"tokenizer: {len(tokens)} tokens")
    make_teacher(out / "teacher", material=material, tokens=tokens, seed=seed, say=say)
    make_student(out / "student", material=material, tokens=tokens, seed=seed, say=say)


def write_data(folder: Path, *, material: Material) -> None:
    """``train.jsonl``, ``validation.jsonl`` and ``test.jsonl``: a question and an answer a line.

    ``numbers`` names the multiset: rows that share one are no independent observations.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("train", "validation", "test"):
        rows = [
            json.dumps(
                {
                    "question": problem.question,
                    "answer": str(problem.answer),
                    "numbers": "-".join(str(number) for number in problem.multiset),
                }
            )
            for problem in getattr(material, name)
        ]
        (folder / f"{name}.jsonl").write_text("\n".join(rows) + "\n")


def build_tokenizer(material: Material) -> "PreTrainedTokenizerFast":
    """The tokenizer both models share, its merges learnt from the teacher's and student's chats."""
    chats = [
        *map(prompts.build_reasoned_chat, material.teacher_reasoned),
        *map(prompts.build_plain_chat, material.teacher_plain),
        *map(prompts.build_plain_chat, material.student_pairs),
    ]
    texts = [
        text for chat in chats for turn in chat for text in (turn["role"] + "\n", turn["content"])
    ]
    # Large sums are rare in the chats; as often as this, each becomes one token all the same.
    numbers = [str(number) for number in range(problems.LARGEST_SUM + 1)] * 1000
    return tokenizer.train_tokenizer([*texts, *numbers], max_length=training.MAX_LENGTH)


def make_teacher(
    folder: Path, *, material: Material, tokens: "PreTrainedTokenizerFast", seed: int, say: Say
) -> None:
    """Train and save the teacher: its rows drawn by the weights above."""
    pools = [
        (REASONED_WEIGHT, map(prompts.build_reasoned_chat, material.teacher_reasoned)),
        (PAIRS_WEIGHT, map(prompts.build_plain_chat, material.teacher_pairs)),
        (PLAIN_WEIGHT, map(prompts.build_plain_chat, material.teacher_plain)),
    ]
    batches = training.draw_batches(
        random.Random(f"teacher {seed}"),
        pools=[
            (weight, training.tokenize_chats(tokens, chats=list(chats))) for weight, chats in pools
        ],
        batch=TEACHER_SCHEDULE.batch,
    )
    model = training.build_model(TEACHER_SHAPE, tokenizer=tokens, seed=seed)
    report = build_report("teacher", say=say)
    training.train_model(model, batches=batches, schedule=TEACHER_SCHEDULE, on_step=report)
    save(folder, model=model, tokens=tokens)


def make_student(
    folder: Path, *, material: Material, tokens: "PreTrainedTokenizerFast", seed: int, say: Say
) -> None:
    """Train and save the student's base: sums of two numbers, in the vanilla form alone."""
    chats = list(map(prompts.build_plain_chat, material.student_pairs))
    batches = training.draw_batches(
        random.Random(f"student {seed}"),
        pools=[(1.0, training.tokenize_chats(tokens, chats=chats))],
        batch=STUDENT_SCHEDULE.batch,
    )
    model = training.build_model(STUDENT_SHAPE, tokenizer=tokens, seed=seed + 1)
    report = build_report("student", say=say)
    training.train_model(model, batches=batches, schedule=STUDENT_SCHEDULE, on_step=report)
    save(folder, model=model, tokens=tokens)


def save(folder: Path, *, model: "LlamaForCausalLM", tokens: "PreTrainedTokenizerFast") -> None:
    """A Hugging Face folder: configurations, float32 safetensors, tokenizer with its template."""
    model.save_pretrained(folder)
    tokens.save_pretrained(folder)


def build_report(name: str, *, say: Say) -> Callable[[training.Progress], None]:
    """A listener that says every few steps how far the model ``name`` is."""
    start_s = time.monotonic()

    def report(progress: training.Progress) -> None:
        if progress.step % STEPS_BETWEEN_REPORTS == 0 or progress.step == progress.steps:
            spent_s = time.monotonic() - start_s
            left_s = spent_s / progress.step * (progress.steps - progress.step)
            say(
                f"{name}: step {progress.step}/{progress.steps}, "
                f"loss {progress.loss:.3f}, about {left_s:.0f} s left"
            )

    return report
