"""Pure decisions: from what is to what to do. No clock, no network, no file.

Start at ``planner.py``. ``snapshot.py`` is what it is given, ``actions.py`` what it gives back,
``judgement.py`` what has become of each step, ``status.py`` how that is told to the user. Every
way to run a job (one machine, an existing Ray cluster, Kubernetes) uses the same planner.
"""
