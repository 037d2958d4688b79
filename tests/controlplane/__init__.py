"""A real Kubernetes control plane for tests: etcd, kube-apiserver, kube-controller-manager.

``fixtures.py`` is what tests use (``control_plane``), ``plane.py`` the object they get.
``binaries.py`` finds or builds the programs (``build.py``: beforehand), ``commands.py`` words their
command lines, ``certificates.py`` makes the keys, ``processes.py`` starts and stops them.
"""
