"""``python -m ray_jobs.publish --config FILE``: publishes a job."""

import sys

from distillery.stage_configs import PublishConfig
from ray_jobs.publish.stage import run
from ray_jobs.step import main

if __name__ == "__main__":
    sys.exit(main(PublishConfig, run))
