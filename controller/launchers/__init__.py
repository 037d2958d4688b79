"""Ways to run a step, one module each. They know Ray's interfaces and nothing of distillation.

``ray_jobs_api.py`` speaks the Ray Jobs REST API, ``local_cluster.py`` starts and stops a Ray head
on this machine, ``ray_launcher.py`` makes Ray jobs of steps and keeps their logs. The ray package
is never imported.
"""
