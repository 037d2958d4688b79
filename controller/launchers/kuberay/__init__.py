"""Steps as RayJobs: what is created for a step on KubeRay, and what becomes of it.

Start at ``rayjob.py``: it puts together the RayJob of a ``Launch`` (``launch.py``) from
``groups.py`` (which pods, how big) and ``pods.py`` (their templates, out of ``volumes.py``,
``environment.py``, ``credentials.py`` and ``sizing.py``), with what a profile and the job change in
them (``patches.py``, ``merging.py``; ``overrides.py`` refuses). ``companions.py`` builds what a job
has once: service account, progress ConfigMap, role, network policy. ``problems.py`` says beforehand
why a job can't be run this way. ``installation.py`` is what the administrator set.

The other way, ``observing.py`` reads the objects back and ``evidence.py`` says why an attempt
failed. All of it is pure: the API server is ``controller.kube``'s.
"""
