"""The stages: what runs inside Ray jobs. Each is ``python -m ray_jobs.<stage> --config FILE``.

``step.py`` is the frame every stage runs in (config in, manifest and outcome out). A stage's
folder holds ``stage.py`` (the order of its work), pure modules, and adapters named after the
library they wrap. Shared by stages: ``records.py`` (the rows between them), ``tables.py`` (their
files), ``rendering.py`` (messages to token ids, the only place), ``scoring.py``, ``models.py``,
``progress.py``, and the packages ``tasks``, ``engines``, ``answers`` and ``storage``.
"""
