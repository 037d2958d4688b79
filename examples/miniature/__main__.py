"""The command ``python -m examples.miniature``: make the quick start's data and models."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from examples.miniature import cache

DESCRIPTION = """\
Make a small world to try distillation in: word problems, a teacher and a student's base model.

The teacher (1.4 M parameters) adds four numbers well when it may write the sums out, and badly
when it must answer at once. The student (0.5 M) adds two numbers. Distilling shows how much
more the student gains from answers that were reasoned than from answers that were not.

Written under DIR (about 90 s on 2 cores, nothing downloaded):
  data/train.jsonl, data/validation.jsonl, data/test.jsonl   {"question": ..., "answer": "20",
                                                              "numbers": "3-4-5-8"}
  teacher/, student/                                         Hugging Face model folders
"""
EPILOG = """\
A finished folder is left as it is; other code or another seed makes it anew.
The system prompts the models know stand in examples/miniature/prompts.py.

example:
  python -m examples.miniature --out runs/quickstart/miniature
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line's options and help."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.miniature",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder to fill")
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="decides problems, initial weights and row order (default: %(default)s)",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Make the folder unless it is finished; 0 either way."""
    arguments = build_parser().parse_args(argv)
    out: Path = arguments.out
    recipe_hash = cache.hash_recipe(seed=arguments.seed)
    if cache.is_finished(out, recipe_hash=recipe_hash):
        say(f"{out}: finished already, nothing to do")
        return 0
    # The merges must not depend on how threads interleave.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    from examples.miniature import recipe

    start_s = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    cache.remove_marker(out)
    recipe.make_all(out, seed=arguments.seed, say=say)
    cache.write_marker(out, recipe_hash=recipe_hash, seed=arguments.seed)
    say(f"{out}: finished in {time.monotonic() - start_s:.0f} s")
    return 0


def say(line: str) -> None:
    """Print a line of progress at once, also into a pipe."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
