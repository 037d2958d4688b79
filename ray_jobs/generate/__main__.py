"""``python -m ray_jobs.generate --config FILE``: one attempt of stage generate."""

import os
import sys

from distillery.stage_configs import GenerateConfig
from ray_jobs.generate.stage import run
from ray_jobs.step import main

if __name__ == "__main__":
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    sys.exit(main(GenerateConfig, run))
