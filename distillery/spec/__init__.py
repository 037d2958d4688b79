"""The typed DistillationJob: ``job.py`` is the whole, the other modules its parts by field.

A field exists only when it works. Unknown fields are refused (``model.py``); rules across fields
live in ``distillery.validation``, not here.
"""
