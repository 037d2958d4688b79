"""A model answering test rows: shared by evaluate (every trial) and publish (the merged weights).

``rows.py`` drives one engine over all rows and turns, ``actor.py`` holds the engine in a process of
its own, ``asking.py`` is the driver's side with progress, ``weights.py`` fetches what a trial
left. How answers are read and scored is
``ray_jobs.scoring``; the teacher's answers come another way (``ray_jobs.generate``).
"""
