"""Joining Ray, for every stage that starts actors or workers."""

import logging
import os


def connect() -> None:
    """Joins the Ray cluster this driver belongs to; run alone, starts one on this machine."""
    import ray

    if ray.is_initialized():
        return
    if "RAY_ADDRESS" in os.environ:
        ray.init(logging_level=logging.WARNING)
    else:
        ray.init(address="local", logging_level=logging.WARNING, include_dashboard=False)
