"""curate: the teacher's answers become training rows, and every row is accounted for.

- ``stage.py``: the order of its work; start here.
- ``judging.py``: all answers to a row become one verdict (a status, and the usable texts).
- ``targets.py``: usable answers, or gold, to training rows of each target set.
- ``yields.py``: how many rows ended how, by gold class; the ``minSuccessRatio`` gate.
- ``label_quality.py``: how right each prompt variant's labels are, on gold.

Reads train and validation only: it is given no path to test rows, gold or answers. How an answer is
read and what a target looks like is the tasks' business (``ray_jobs.tasks``).
"""
