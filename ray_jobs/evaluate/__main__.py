"""``python -m ray_jobs.evaluate --config FILE``: evaluates one student."""

import sys

from distillery.stage_configs import EvaluateConfig
from ray_jobs.evaluate.stage import run
from ray_jobs.step import main

if __name__ == "__main__":
    sys.exit(main(EvaluateConfig, run))
