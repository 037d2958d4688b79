"""Runs one attempt of a train step: ``python -m ray_jobs.train --config FILE``."""

import sys

from distillery.stage_configs import TrainConfig
from ray_jobs.step import main
from ray_jobs.train.stage import run

if __name__ == "__main__":
    sys.exit(main(TrainConfig, run))
