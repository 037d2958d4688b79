"""``python -m tests.controlplane.build``: has the programs ready before tests ask for them."""

import logging
import sys

from tests.controlplane.binaries import BuildFailedError, NoControlPlaneError, find_binaries


def main() -> int:
    """Writes the folder of the programs; 1 where the build fails. Without Go there is nothing to
    build with: the tests that need the programs skip."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        folder = find_binaries()
    except NoControlPlaneError as error:
        sys.stderr.write(f"{error}\n")
        return 0
    except BuildFailedError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
