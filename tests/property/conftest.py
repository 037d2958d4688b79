"""Hypothesis without a deadline: a first import or a busy machine is no failure of the code."""

from hypothesis import settings

settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")
