"""The marker of a finished folder: made by this code, with this seed, and still complete.

It is written last, so a folder whose making was interrupted has none and is made again. It
carries a hash of the package's source, which holds every setting, and the size of every file.
"""

import hashlib
import json
from pathlib import Path

MARKER = "miniature.json"


def hash_recipe(*, seed: int) -> str:
    """SHA-256 over the package's source files and the seed, in hexadecimal."""
    digest = hashlib.sha256(f"seed={seed}\n".encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def is_finished(out: Path, *, recipe_hash: str) -> bool:
    """Whether ``out`` holds everything this recipe makes, each file at its recorded size."""
    try:
        marker = json.loads((out / MARKER).read_text())
        files = dict(marker["files"]).items()
        return marker["recipeHash"] == recipe_hash and all(
            (out / name).stat().st_size == size for name, size in files
        )
    except (FileNotFoundError, NotADirectoryError, KeyError, TypeError, ValueError):
        return False


def write_marker(out: Path, *, recipe_hash: str, seed: int) -> None:
    """Mark ``out`` as finished with the files it holds now."""
    files = {
        path.relative_to(out).as_posix(): path.stat().st_size
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != MARKER
    }
    marker = {"recipeHash": recipe_hash, "seed": seed, "files": files}
    unfinished = out / f".{MARKER}.part"
    unfinished.write_text(json.dumps(marker, indent=2) + "\n")
    unfinished.replace(out / MARKER)


def remove_marker(out: Path) -> None:
    """Call ``out`` unfinished until ``write_marker``."""
    (out / MARKER).unlink(missing_ok=True)
