"""The programs: from ``KUBEBUILDER_ASSETS``, else from a cache folder, else built with Go.

The cache is ``DISTILLERY_CONTROLPLANE_CACHE``, else ``~/.cache/distillery/controlplane``; its
folders are named by what is built, so another version is another folder. ``build.py`` builds them
beforehand.
"""

import fcntl
import hashlib
import logging
import os
import shutil
import subprocess
from pathlib import Path

_LOG = logging.getLogger(__name__)

ASSETS_VARIABLE = "KUBEBUILDER_ASSETS"
CACHE_VARIABLE = "DISTILLERY_CONTROLPLANE_CACHE"
KUBERNETES_VERSION = "v1.36.3"
PACKAGES = {
    "kube-apiserver": ("kubernetes", "k8s.io/kubernetes/cmd/kube-apiserver"),
    "kube-controller-manager": ("kubernetes", "k8s.io/kubernetes/cmd/kube-controller-manager"),
    "etcd": ("etcd", "go.etcd.io/etcd/server/v3"),
}
"""Program to its module below ``go/`` and its package."""
_GO = Path(__file__).parent / "go"
_BUILD_TIMEOUT_S = 3600


class NoControlPlaneError(Exception):
    """The programs can't be had here: no Go, no assets. The message says so in one line."""


class BuildFailedError(Exception):
    """Go is here, but couldn't build a program; the message holds the end of what it said."""


def find_binaries() -> Path:
    """The folder that holds all of ``PACKAGES``; builds them where they aren't anywhere.

    Raises: ``NoControlPlaneError``, ``BuildFailedError``.
    """
    assets = os.environ.get(ASSETS_VARIABLE, "")
    if assets:
        folder = Path(assets)
        if missing := _missing(folder):
            raise NoControlPlaneError(
                f"no control plane: {ASSETS_VARIABLE} names a folder without "
                f"{', '.join(missing)}, got {assets}; unset it, and Go builds them"
            )
        return folder
    folder = _cache_root() / _key()
    if not _missing(folder):
        return folder
    go = shutil.which("go")
    if go is None:
        raise NoControlPlaneError(
            f"no control plane: there is neither Go to build it with nor {ASSETS_VARIABLE}; "
            "install Go, or name a folder with the programs there"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name in _missing(folder):
            _build(go, name, folder)
    return folder


def _cache_root() -> Path:
    given = os.environ.get(CACHE_VARIABLE, "")
    return Path(given) if given else Path.home() / ".cache" / "distillery" / "controlplane"


def _key() -> str:
    digest = hashlib.sha256(KUBERNETES_VERSION.encode())
    for path in sorted(_GO.glob("*/go.*")):
        digest.update(path.name.encode() + path.read_bytes())
    return f"{KUBERNETES_VERSION}-{digest.hexdigest()[:12]}"


def _missing(folder: Path) -> list[str]:
    return [name for name in PACKAGES if not (folder / name).is_file()]


def _build(go: str, name: str, folder: Path) -> None:
    module, package = PACKAGES[name]
    _LOG.warning("building %s with Go, which takes minutes the first time", name)
    draft = folder / f"{name}.new"
    command = [go, "build", "-trimpath", "-buildvcs=false", "-ldflags", _stamp(), "-o", str(draft)]
    try:
        done = subprocess.run(
            [*command, package],
            cwd=_GO / module,
            env={**os.environ, "CGO_ENABLED": "0"},
            capture_output=True,
            text=True,
            timeout=_BUILD_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BuildFailedError(f"building {name} took over {_BUILD_TIMEOUT_S} s") from error
    if done.returncode:
        raise BuildFailedError(f"building {name} failed:\n{done.stderr[-2000:]}")
    draft.replace(folder / name)


def _stamp() -> str:
    """The version, as clients and Helm read it from the server."""
    _, minor, _ = KUBERNETES_VERSION.removeprefix("v").split(".")
    values = {
        "gitVersion": KUBERNETES_VERSION,
        "gitMajor": "1",
        "gitMinor": minor,
        "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z",
    }
    flags = [
        f"-X {place}.{name}={value}"
        for place in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
        for name, value in values.items()
    ]
    return " ".join(["-s -w", *flags])
