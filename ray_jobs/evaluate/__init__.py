"""The evaluate stage: base and every trial on the whole test split, greedy.

Start at ``stage.py``. ``subjects.py`` says which models there are and what names their results,
``budget.py`` how long an answer may be, ``inputs.py`` what is read. Models answer through
``ray_jobs.answering`` and are scored by ``ray_jobs.scoring``; intervals and comparisons are
``ray_jobs.publish``.
"""
