"""The rules no single field can say, as pure functions from a job's spec to problems.

``rules.py`` runs them all; ``data.py``, ``teacher.py``, ``students.py`` and ``runtime.py`` hold
them by the part of the specification they speak of. Rules of one field alone are bounds in
``distillery.spec``. Row counts and label spaces of real files are checked by ``ray_jobs.prepare``.
"""
