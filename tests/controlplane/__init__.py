"""A real Kubernetes control plane for tests: etcd, kube-apiserver, kube-controller-manager.

``binaries.py`` finds or builds the programs, ``certificates.py`` makes the keys, ``processes.py``
starts and stops them; ``fixtures.py`` is what tests use (``control_plane``).
"""
