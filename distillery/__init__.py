"""The contract: what a job may say, what a step is given, and what it leaves behind.

Start at ``spec/job.py`` (the resource), then ``steps.py`` (the steps and their order),
``stage_configs.py`` (what each step is sent), ``manifests.py`` (what makes a step finished) and
``progress.py`` (what a running step says). ``validation.py`` holds the rules that no single field
can say. Both ``controller`` and ``ray_jobs`` import this package and it imports neither: standard
library, pydantic and YAML only, no clock, no network, no machine learning.
"""
