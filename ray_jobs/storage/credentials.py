"""Keys of a credential mounted as files, one file a key, read again for each request.

Pods get them so (``$DISTILLERY_CREDENTIALS_DIR/<credentialsRef>/AWS_ACCESS_KEY_ID``); where the
folder isn't named, boto3's own chain finds the surroundings'. Making boto3 use them is
``s3_client.py``'s. Values are never logged and in no message.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from distillery.errors import SpecError, word
from distillery.spec.job import StorageSpec

FOLDER_VARIABLE = "DISTILLERY_CREDENTIALS_DIR"
_NOT_MOUNTED = "CredentialsMissing"
_FIELD = "storage.credentialsRef"
_ID, _SECRET, _TOKEN = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"
_MAX_READS = 5
"""Of the files, until two give the same. A mount changes at once, so the third read does."""


@dataclass(frozen=True, kw_only=True)
class S3Keys:
    """What signs a request; ``token`` is empty where there is none."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str = field(default="", repr=False)


def credentials_folder(ref: str | None, environment: Mapping[str, str]) -> Path | None:
    """The folder with the keys of credential ``ref``; None: the surroundings' are used."""
    folder = environment.get(FOLDER_VARIABLE)
    return Path(folder) / ref if ref and folder else None


def are_surroundings_used(storage: StorageSpec, environment: Mapping[str, str]) -> bool:
    """Whether the job names a credential, and this process has no mounted ones."""
    ref = storage.credentials_ref
    is_s3 = storage.uri.startswith("s3://")
    return is_s3 and bool(ref) and credentials_folder(ref, environment) is None


def read_keys(folder: Path) -> S3Keys:
    """The keys, as they are together: a mount that changes meanwhile is read again.

    Raises:
        SpecError: ``CredentialsMissing``: no such folder, or a key isn't there.
    """
    keys = _read(folder)
    for _ in range(_MAX_READS):
        again = _read(folder)
        if again == keys:
            break
        keys = again
    return keys


def _read(folder: Path) -> S3Keys:
    if not folder.is_dir():
        problem = f"credential {folder.name} must be mounted in this pod, got no such folder"
        raise SpecError(
            word(_FIELD, f"{problem}; see spec.credentials and its Secret"), reason=_NOT_MOUNTED
        )
    values = {name: _read_file(folder / name) for name in (_ID, _SECRET, _TOKEN)}
    missing = [name for name in (_ID, _SECRET) if not values[name]]
    if missing:
        problem = f"the Secret of credential {folder.name} must have {_ID} and {_SECRET}"
        raise SpecError(
            word(_FIELD, f"{problem}, got no {missing[0]}; add it"), reason=_NOT_MOUNTED
        )
    return S3Keys(access_key=values[_ID], secret_key=values[_SECRET], token=values[_TOKEN])


def _read_file(path: Path) -> str:
    """Empty where there is none. Files made with an editor end in a line end, which is no part."""
    try:
        return path.read_text("utf-8").strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        problem = f"{path.name} of credential {path.parent.name} must be readable text"
        raise SpecError(
            word(_FIELD, f"{problem}, got {type(error).__name__}; see the Secret and its mount"),
            reason=_NOT_MOUNTED,
        ) from error
