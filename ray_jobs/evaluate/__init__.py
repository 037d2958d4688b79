"""The evaluate stage: base and every trial on the whole test split, greedy.

Start at ``stage.py``. ``subjects.py`` says which models there are and what names their results,
``budget.py`` how long an answer may be, ``answering.py`` drives one engine over all rows and turns,
``answering_actor.py`` holds the engine in a process of its own. How answers are read and scored is
``ray_jobs.scoring``; intervals and comparisons are ``ray_jobs.publish``.
"""
