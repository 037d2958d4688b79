"""The models as a Kubernetes CustomResourceDefinition.

Start at ``definition.py``, which puts the whole together and writes it as YAML. ``structural.py``
turns pydantic's JSON schema into the form the API server takes, ``unions.py`` the fields that have
a ``type``; ``places.py`` finds a schema by its dotted path. The rules are CEL: ``rules.py`` those
of one part of a job, ``immutability.py`` what a started job may no longer change. Rules across
parts of a job are not here: the controller reports them in the words of ``distillery.validation``.
Nothing here speaks to an API server.
"""
