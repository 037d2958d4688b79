"""The Hugging Face hub: commits pinned, snapshots fetched, its errors turned into ours.

Used by ``ray_jobs.models`` and ``ray_jobs.prepare.hub_data``. Tokens are found by the library
itself (``HF_TOKEN``, ``hf auth login``); nothing here sees one. With ``HF_HUB_OFFLINE=1`` only what
its cache holds is used.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from distillery.errors import ExternalError, SpecError, TransientError

MODEL_SCHEME = "hf://"
DATASET_SCHEME = "hf://datasets/"
HUB_UNREACHABLE = "HubUnreachable"


def fetch_snapshot(repo: str, *, revision: str, patterns: Sequence[str], reason: str) -> Path:
    """The local folder of a model repository at a commit, which is the folder's name.

    Args:
        revision: Branch, tag or commit.
        patterns: Which of the repository's top-level files are wanted.
        reason: Of the ``SpecError`` where the repository can't be had.

    Raises:
        SpecError: No such repository or revision, or no right to it.
        TransientError, ExternalError: ``HubUnreachable``.
    """
    from huggingface_hub import snapshot_download

    with hub_faults(f"{MODEL_SCHEME}{repo}@{revision}", reason=reason):
        folder = snapshot_download(
            repo, revision=revision, allow_patterns=list(patterns), ignore_patterns=["*/*"]
        )
    return Path(str(folder))


def list_model_files(repo: str, *, commit: str, reason: str) -> tuple[str, ...] | None:
    """The names of a model repository's files; None where the hub may not be asked."""
    from huggingface_hub import HfApi, constants

    if constants.HF_HUB_OFFLINE:
        return None
    with hub_faults(f"{MODEL_SCHEME}{repo}@{commit}", reason=reason):
        return tuple(HfApi().list_repo_files(repo, revision=commit))


def resolve_dataset(repo: str, *, revision: str, reason: str) -> str:
    """The commit a data set's branch, tag or commit stands for. Raises as ``fetch_snapshot``."""
    from huggingface_hub import HfApi

    with hub_faults(f"{DATASET_SCHEME}{repo}@{revision}", reason=reason):
        commit = HfApi().dataset_info(repo, revision=revision).sha
    if commit is None:
        raise ExternalError(
            f"{DATASET_SCHEME}{repo}: the hub names no commit, got none; try again later",
            reason=HUB_UNREACHABLE,
        )
    return commit


@contextmanager
def hub_faults(place: str, *, reason: str) -> Iterator[None]:
    """Turns what ``huggingface_hub`` raises inside into errors of the tree."""
    from huggingface_hub import errors

    try:
        yield
    except (errors.RepositoryNotFoundError, errors.GatedRepoError) as error:
        raise SpecError(
            f"{place}: no such repository, or no right to read it, got "
            f"{type(error).__name__}; check the name and the token in HF_TOKEN",
            reason=reason,
        ) from error
    except errors.RevisionNotFoundError as error:
        raise SpecError(
            f"{place}: the hub has no such revision, got {type(error).__name__}; "
            "name a branch, tag or commit",
            reason=reason,
        ) from error
    except errors.HFValidationError as error:
        raise SpecError(
            f"{place}: must name a repository, got another form; write hf://owner/name",
            reason=reason,
        ) from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        raise TransientError(
            f"{place}: neither reachable nor in the cache, got {type(error).__name__}; check the "
            "network, or download it before working offline",
            reason=HUB_UNREACHABLE,
        ) from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        raise ExternalError(
            f"{place}: the hub refused, got status {status}; try again later",
            reason=HUB_UNREACHABLE,
            status_code=status,
        ) from error
    # Of the library's HTTP client, whose name changes with its versions.
    except errors.HTTPError as error:  # type: ignore[attr-defined]
        raise TransientError(
            f"{place}: the hub can't be reached, got {type(error).__name__}; check the network",
            reason=HUB_UNREACHABLE,
        ) from error
