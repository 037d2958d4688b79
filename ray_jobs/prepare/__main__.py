"""``python -m ray_jobs.prepare --config FILE``."""

import sys

from distillery.stage_configs import PrepareConfig
from ray_jobs.prepare.stage import run
from ray_jobs.step import main

if __name__ == "__main__":
    sys.exit(main(PrepareConfig, run))
