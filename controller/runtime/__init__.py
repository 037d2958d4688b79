"""Watching, queueing and leading: what any Kubernetes controller needs, whatever it controls.

Where to start, in the order in which a change comes through: ``informer.py`` (list, then watch)
fills ``cache.py`` with what ``projection.py`` keeps, and its handlers map objects to keys by
``owners.py``; ``queue.py`` holds the keys, ``workers.py`` has them reconciled. ``elector.py`` makes
one replica the leader by a Lease (``lease.py``, ``lease_store.py``), and ``fencing.py`` lets only
that one write. ``recorder.py`` tells events, as ``event_series.py`` says. All share ``clock.py``,
``timestamps.py`` and the token buckets of ``buckets.py``.

Nothing here knows of distillation. The API server is reached through ``controller.kube.api`` only.
"""
