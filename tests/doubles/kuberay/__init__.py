"""KubeRay as far as we depend on it: does to RayJobs what its operator does, through the API port.

Start at ``operator.py``: ``KubeRayDouble.step(now_s)`` looks at everything once and does what is
due, so it runs on a virtual clock with the API server in memory, and in a thread (``running.py``)
on a real one. ``rayjobs.py`` is the life of a RayJob, ``clusters.py`` of a RayCluster,
``submitters.py`` of a submitter; ``objects.py`` and ``pods.py`` build what they create. Where there
is no node, ``kubelet.py`` says what pods do, and ``drivers.py`` what runs in them: a script
(``behaviour.py``, ``fates.py``), or the step for real on a Ray cluster (``real_drivers.py``).

``nodes.py`` is the kubelet's part alone and ``real_operator.py`` starts the real operator, whose
binary ``KUBERAY_OPERATOR`` names: the same contract tests run on both.

Order and names were read in KubeRay's source (v1.7) and seen with its operator; none of its code
is here. Not here, for we don't use it: retries by KubeRay itself, autoscaling, other submission
modes than K8sJobMode, deletion rules, the history server.
"""
