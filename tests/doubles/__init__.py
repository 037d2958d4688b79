"""Doubles of what the controller talks to, so that its tests need no cluster.

``api_server.py`` is an API server in memory; its parts are the ``api_*.py`` beside it. The
contract tests in ``tests/contract/kube`` hold it to what a real kube-apiserver does.
"""
