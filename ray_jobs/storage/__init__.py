"""Object storage: the only package that speaks to it.

- ``base.py``: the interface ``Storage``, its keys and its errors; start here.
- ``opening.py``: from a URI to a ``Storage``, or to one object for reading.
- ``artefacts.py``: whole folders up and down, and the manifest that finishes a step.
- ``probe.py``: does this storage do what a run needs, asked before any work.
- ``credentials.py``: keys mounted as files.
- ``local.py`` (``file://``), ``s3.py`` (``s3://``, with ``s3_reader.py`` and ``s3_faults.py``).
- ``keys.py``, ``faults.py``, ``hashing.py``, ``receiving.py``: what both implementations share.

What the objects mean (answers, checkpoints, reports) is not known here. Where no credentials are
mounted, boto3's own chain finds them.
"""
