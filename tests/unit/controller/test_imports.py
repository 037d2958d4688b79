"""The command loads in a moment, and on a machine that has no machine learning on it."""

import subprocess
import sys

HEAVY = ("ray", "torch", "vllm", "transformers", "trl", "peft", "datasets", "boto3", "pyarrow")
PROGRAM = """
import sys
import controller.cli.main
print(sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_the_command_loads_no_stage_and_no_heavy_package() -> None:
    shown = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    ).stdout
    assert "'controller'" in shown
    assert not [name for name in (*HEAVY, "ray_jobs") if f"'{name}'" in shown]
