"""The answer store: what a teacher has said, kept for ever, shared by a namespace's jobs.

- ``keys.py``: what makes two answers the same question; the teacher's fingerprint.
- ``reuse.py``: which stored answer wins and whether it serves; pure, start here.
- ``segments.py``: the immutable Parquet files answers are kept in; ``index.py``: their winners.
- ``store.py``: segments in storage, read and written.
- ``ledger.py``: how many tokens engines have generated, readable after ``kill -9``.

Not here: who asks (``ray_jobs.generate``) and what an answer means (``ray_jobs.tasks``).
"""
