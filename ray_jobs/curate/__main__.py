"""``python -m ray_jobs.curate --config FILE``."""

import sys

from distillery.stage_configs import CurateConfig
from ray_jobs.curate.stage import run
from ray_jobs.step import main

if __name__ == "__main__":
    sys.exit(main(CurateConfig, run))
