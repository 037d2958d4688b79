"""``python -m ray_jobs.logs``: ships the logs of this pod's Ray processes until SIGTERM."""

import argparse
import logging
import os
import sys
from pathlib import Path

from ray_jobs.logs.running import LOGS_FOLDER, make_shipper, read_destination, run_until_terminated


def main() -> int:
    """Runs the sidecar. Returns its exit code, which storage has no part in."""
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        stream=sys.stderr,
    )
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--folder", type=Path, default=LOGS_FOLDER, help="the logs of Ray's session: %(default)s"
    )
    folder = parser.parse_args().folder
    run_until_terminated(make_shipper(read_destination(os.environ), folder=folder).ship)
    return 0


if __name__ == "__main__":
    sys.exit(main())
