"""Names of containers, folders and ports inside a step's pods; the image's stages rely on them."""

RAY_HEAD = "ray-head"
RAY_WORKER = "ray-worker"
LOG_SHIPPER = "log-shipper"
SUBMITTER = "ray-job-submitter"

SCRATCH_DIR = "/scratch"
"""The pod's own disk, and every home and cache folder; ``Place.scratch_dir`` of a step here."""
MODEL_CACHE_DIR = f"{SCRATCH_DIR}/models"
"""Model weights: where ``runtime.modelCache``, or a profile's node-local folder, is mounted."""
RAY_DIR = "/tmp/ray"
"""Ray's sessions and their logs."""
TMP_DIR = "/tmp"
SHM_DIR = "/dev/shm"
CREDENTIALS_DIR = "/var/run/distillery/credentials"
API_ACCESS_DIR = "/var/run/secrets/kubernetes.io/serviceaccount"

GCS_PORT = 6379
DASHBOARD_PORT = 8265
