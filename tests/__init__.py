"""The tests. ``builders.py`` makes jobs, ``servers/`` starts real servers, ``models.py`` models."""
