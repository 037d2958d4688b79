"""Ways to run a step. They make and watch what runs, and decide nothing.

``base.py`` is what the operator needs of one; ``kuberay/`` builds and reads the RayJobs of steps,
``ray_address.py`` uses an existing Ray cluster. ``ray_jobs_api.py`` speaks the Ray Jobs REST API,
``local_cluster.py`` starts and stops a Ray head on this machine, ``ray_launcher.py`` makes Ray jobs
of steps for the command and keeps their logs. The ray package is never imported.
"""
