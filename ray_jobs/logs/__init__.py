"""The log shipper: a sidecar of each Ray pod that keeps what Ray's processes say in storage.

``python -m ray_jobs.logs`` uploads what is new in the logs of Ray's session every 30 s, so that
after a ``kill -9`` of the Ray container, or the loss of its node, all but the last half minute is
there. Where it is, below the storage's root:

    <DISTILLERY_LOG_PREFIX>/<POD_NAME>/<file>.<part number>

- ``<file>`` is the log's path below the session's ``logs`` folder: ``job-driver-NAME.log`` (the
  step itself), ``worker-*.out`` and ``worker-*.err`` (actors, engines and training workers),
  ``train/ray-train-*.log``, ``raylet.*`` and ``gcs_server.*``. Nothing else is taken: other files
  there show environments and configuration.
- ``<part number>``, 15 digits, is the place of the part's first byte in the whole log, so the parts
  of a file one after the other are the log. Where a part doesn't begin at the former one's end,
  what is between was dropped: a file and a pod have a limit each, above which a log loses the
  parts between its first and its newest.
- A part is written again as it grows to 256 KiB, and then never. Rotated files are one log.

- ``files.py``: which logs there are, and which rotated files are one.
- ``parts.py``: the parts of a log in storage, and what is dropped above a limit.
- ``following.py``: one log, from its files to its parts; start here.
- ``shipper.py``: a round over all logs. ``running.py``: when, and how it ends.

Reading back is any storage client's. Logs are shipped as they are.
"""
