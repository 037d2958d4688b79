"""A DistillationJob as the cluster holds it: its resource, and what is left of its attempts. Pure.

``views.py`` reads the resource, ``traces.py`` recalls attempts from the status and from what the
steps said. Used by ``controller.launchers`` and ``controller.operator``; decides nothing.
"""
