"""Keys mounted as files: what is read, what is refused, and that values are never shown."""

import os
from pathlib import Path

import pytest

from distillery.errors import SpecError
from distillery.spec.job import StorageSpec
from ray_jobs.storage.credentials import (
    S3Keys,
    are_surroundings_used,
    credentials_folder,
    read_keys,
)
from ray_jobs.storage.s3_client import S3Settings, build_client

HIDDEN = "hidden-value"


def write_keys(folder: Path, **values: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in values.items():
        (folder / name).write_text(value, encoding="utf-8")
    return folder


def mount(root: Path, version: str, access_key: str) -> Path:
    """As the kubelet mounts a projected volume: each entry leads through ``..data``, a link that
    is replaced."""
    write_keys(
        root / f"..{version}" / "bucket",
        AWS_ACCESS_KEY_ID=access_key,
        AWS_SECRET_ACCESS_KEY=f"secret of {access_key}",
    )
    link = root / "..next"
    link.symlink_to(f"..{version}")
    link.replace(root / "..data")
    if not (root / "bucket").is_symlink():
        (root / "bucket").symlink_to("..data/bucket")
    return root / "bucket"


@pytest.mark.parametrize(
    ("ref", "environment", "want"),
    [
        pytest.param("bucket", {"DISTILLERY_CREDENTIALS_DIR": "/c"}, Path("/c/bucket"), id="both"),
        pytest.param(None, {"DISTILLERY_CREDENTIALS_DIR": "/c"}, None, id="none is named"),
        pytest.param("bucket", {}, None, id="nothing is mounted"),
    ],
)
def test_the_folder_is_the_credential_s_below_the_pod_s(
    ref: str | None, environment: dict[str, str], want: Path | None
) -> None:
    assert credentials_folder(ref, environment) == want


@pytest.mark.parametrize(
    ("storage", "environment", "want"),
    [
        pytest.param({"uri": "s3://b", "credentialsRef": "c"}, {}, True, id="on a laptop"),
        pytest.param(
            {"uri": "s3://b", "credentialsRef": "c"},
            {"DISTILLERY_CREDENTIALS_DIR": "/c"},
            False,
            id="in a pod",
        ),
        pytest.param({"uri": "s3://b"}, {}, False, id="none is named"),
        pytest.param({"uri": "file:///b", "credentialsRef": "c"}, {}, False, id="none is needed"),
    ],
)
def test_the_surroundings_are_used_where_a_named_credential_is_not_mounted(
    storage: dict[str, str], environment: dict[str, str], want: bool
) -> None:
    assert are_surroundings_used(StorageSpec.model_validate(storage), environment) == want


def test_keys_are_the_files_without_white_space_around(tmp_path: Path) -> None:
    folder = write_keys(tmp_path / "c", AWS_ACCESS_KEY_ID="id\n", AWS_SECRET_ACCESS_KEY=" s ")
    assert read_keys(folder) == S3Keys(access_key="id", secret_key="s")
    write_keys(folder, AWS_SESSION_TOKEN="t\n")
    assert read_keys(folder) == S3Keys(access_key="id", secret_key="s", token="t")


@pytest.mark.parametrize(
    ("values", "want"),
    [
        pytest.param(None, "credential c must be mounted in this pod, got no such", id="no folder"),
        pytest.param(
            {"AWS_SECRET_ACCESS_KEY": HIDDEN},
            "the Secret of credential c must have AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, got "
            "no AWS_ACCESS_KEY_ID; add it",
            id="no id",
        ),
        pytest.param(
            {"AWS_ACCESS_KEY_ID": HIDDEN, "AWS_SECRET_ACCESS_KEY": "\n"},
            "must have AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, got no AWS_SECRET_ACCESS_KEY;",
            id="empty secret",
        ),
    ],
)
def test_what_is_missing_is_told_without_values(
    tmp_path: Path, values: dict[str, str] | None, want: str
) -> None:
    if values is not None:
        write_keys(tmp_path / "c", **values)
    with pytest.raises(SpecError) as caught:
        read_keys(tmp_path / "c")
    assert caught.value.message.startswith("storage.credentialsRef: ")
    assert want in caught.value.message
    assert caught.value.reason == "CredentialsMissing"
    assert HIDDEN not in caught.value.message


def test_a_key_that_is_no_text_is_told(tmp_path: Path) -> None:
    folder = write_keys(tmp_path / "c", AWS_ACCESS_KEY_ID="id")
    (folder / "AWS_SECRET_ACCESS_KEY").write_bytes(b"\xff\xfe")
    with pytest.raises(
        SpecError,
        match=r"AWS_SECRET_ACCESS_KEY of credential c must be readable text, got UnicodeDecodeError",
    ):
        read_keys(folder)


def test_keys_read_while_the_mount_changes_belong_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = mount(tmp_path, "1", "old")
    read_text = Path.read_text
    reads: list[str] = []

    def change_after_first(path: Path, *arguments: str) -> str:
        text = read_text(path, *arguments)
        reads.append(path.name)
        if len(reads) == 1:
            mount(tmp_path, "2", "new")
        return text

    monkeypatch.setattr(Path, "read_text", change_after_first)
    assert read_keys(folder) == S3Keys(access_key="new", secret_key="secret of new")


def test_keys_don_t_show_their_secrets() -> None:
    shown = repr(S3Keys(access_key="id", secret_key=HIDDEN, token=HIDDEN))
    assert HIDDEN not in shown


def test_a_client_signs_with_the_mounted_keys_of_the_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "surroundings")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "surroundings")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    folder = mount(tmp_path, "1", "old")
    client = build_client(
        S3Settings(endpoint_url="http://127.0.0.1:9", region="us-east-1", credentials=folder)
    )

    def signer() -> str:
        url: str = client.generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "k"})
        return url.partition("AWSAccessKeyId=")[2].partition("&")[0] or url

    assert "old" in signer()
    mount(tmp_path, "2", "new")
    assert "new" in signer()
