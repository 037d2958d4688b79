"""The hub's token as a mounted file: found by the library itself, read when it is used."""

import subprocess
import sys
from pathlib import Path

_SAY_TOKEN = """
import os, pathlib, huggingface_hub
path = pathlib.Path(os.environ["HF_TOKEN_PATH"])
print(huggingface_hub.get_token())
path.write_text("second")
print(huggingface_hub.get_token())
"""


def test_the_library_reads_the_file_that_hf_token_path_names_each_time(tmp_path: Path) -> None:
    token = tmp_path / "HF_TOKEN"
    token.write_text("first\n")
    process = subprocess.run(
        [sys.executable, "-c", _SAY_TOKEN],
        env={"HF_TOKEN_PATH": str(token), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert process.stdout.split() == ["first", "second"]
