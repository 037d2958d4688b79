"""prepare: the first step of every run. Looks at everything, then puts the data into one form.

- ``stage.py``: the order of its work; start here.
- ``sources.py``: a data set's address to a digest and a local file. ``readers.py`` (JSONL, CSV,
  TSV, Parquet) and ``hub_data.py`` (``hf://``) turn it into raw rows, ``sampling.py`` draws some.
- ``columns.py`` and ``rows.py``: a raw row to messages, labels and gold, by the job's mapping.
- ``duplicates.py``, ``near_duplicates.py``: what leaves because it stands elsewhere.
- ``problems.py``: bad rows, told by file and line.
- ``splits.py``: from raw rows to what is stored, with the figures of ``distillery.summaries``.
- ``verdict.py``: pinned models and the list of finished steps, asked anew at every run.

Gold is written to ``gold/<split>.parquet`` and enters no prompt. No teacher is asked here.
"""
