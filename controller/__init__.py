"""Decides what runs next, and has it run: the half of the project that knows no machine learning.

Start at ``plan/planner.py`` (what to do next, pure), then ``cli/run.py`` (the loop on one machine)
and ``launchers/ray_launcher.py`` (how a step becomes a Ray job). What a job and a step are is
``distillery``; what a step does is ``ray_jobs``, which is never imported here.
"""
