"""Makes DistillationJob resources true: observe, decide, act, record, for one job at a time.

Start at ``reconciler.py``. ``views.py`` reads a resource, ``attempts.py`` finds out what has become
of its steps, ``limits.py`` says how many may start, ``recording.py`` writes the status. Decisions
are ``controller.plan``'s; watching and queueing is ``controller.runtime``'s; what a step is made of
in the cluster is ``controller.launchers``'. ``main.py`` puts it all together as a process.
"""
