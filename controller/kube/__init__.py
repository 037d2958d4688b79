"""All that speaks to the Kubernetes API server, and nothing else does.

``api.py`` is the port that the rest of the controller sees, ``resources.py`` the kinds it uses,
``faults.py`` the errors it raises; ``http.py`` is the real thing. Objects are raw JSON
dictionaries. Nothing here knows of distillation; watching and caching is ``controller.runtime``.
"""
