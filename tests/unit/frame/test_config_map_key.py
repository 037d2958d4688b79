"""One key of a ConfigMap, written to a real HTTPS server: what is sent, and what refusals mean."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from distillery.errors import TransientError
from distillery.progress import Progress, StepRecord
from ray_jobs.config_map_key import MAX_CROSSINGS, ApiAccess, ConfigMapKey
from tests.servers.config_map import TOKEN, Answer, ConfigMapServer, running_config_maps

PATH = "/api/v1/namespaces/team/configmaps/sums-progress"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ConfigMapServer]:
    with running_config_maps(tmp_path) as server:
        yield server


@pytest.fixture
def key(server: ConfigMapServer) -> ConfigMapKey:
    access = ApiAccess(url=server.url, account=server.account)
    return ConfigMapKey(access, namespace="team", name="sums-progress", key="prepare")


def record(attempt: int = 2, *, work: int = 0) -> StepRecord:
    return StepRecord(attempt=attempt, submission_id="sums-1", progress=Progress(work=work))


def text(step_record: StepRecord) -> str:
    return step_record.model_dump_json(by_alias=True, exclude_none=True)


def stored(server: ConfigMapServer, key: str = "prepare") -> StepRecord:
    return StepRecord.model_validate_json(server.data[key])


def test_a_record_is_a_merge_patch_of_its_own_key(
    server: ConfigMapServer, key: ConfigMapKey
) -> None:
    server.put("generate", "another step's")

    assert key.write(record(work=7))

    assert stored(server) == record(work=7)
    assert server.data["generate"] == "another step's"
    look, patch = server.calls
    assert (look.method, look.path, patch.method, patch.path) == ("GET", PATH, "PATCH", PATH)
    assert {look.authorization, patch.authorization} == {f"Bearer {TOKEN}"}
    assert patch.content_type == "application/merge-patch+json"
    assert list(patch.body["data"]) == ["prepare"]


def test_a_second_record_needs_one_request(server: ConfigMapServer, key: ConfigMapKey) -> None:
    key.write(record(work=1))
    key.write(record(work=2))

    assert [call.method for call in server.calls] == ["GET", "PATCH", "PATCH"]
    assert stored(server) == record(work=2)


def test_the_token_is_read_again_for_each_request(
    server: ConfigMapServer, key: ConfigMapKey
) -> None:
    key.write(record(work=1))
    (server.account / "token").write_text("the-next-token")
    key.write(record(work=2))

    assert server.calls[-1].authorization == "Bearer the-next-token"


@pytest.mark.parametrize("attempt", [1, 2])
def test_records_of_this_and_former_attempts_are_replaced(
    server: ConfigMapServer, key: ConfigMapKey, attempt: int
) -> None:
    server.put("prepare", text(record(attempt)))

    assert key.write(record(2, work=9))
    assert stored(server) == record(2, work=9)


@pytest.mark.parametrize("present", ["", "{", '{"attempt": "x"}'])
def test_what_is_no_record_is_replaced(
    server: ConfigMapServer, key: ConfigMapKey, present: str
) -> None:
    server.put("prepare", present)

    assert key.write(record(2))
    assert stored(server) == record(2)


def test_a_later_attempt_is_never_overwritten(server: ConfigMapServer, key: ConfigMapKey) -> None:
    server.put("prepare", text(record(3)))

    assert not key.write(record(2))
    assert stored(server) == record(3)


def test_a_later_attempt_that_comes_between_look_and_write_is_never_overwritten(
    server: ConfigMapServer, key: ConfigMapKey
) -> None:
    assert key.write(record(2, work=1))
    server.before_patch = lambda: server.put("prepare", text(record(3)))

    assert not key.write(record(2, work=2))
    assert stored(server) == record(3)


def test_a_write_that_crossed_another_step_s_is_done_again(
    server: ConfigMapServer, key: ConfigMapKey
) -> None:
    server.before_patch = lambda: server.put("generate", "another step's")

    assert key.write(record(work=1))
    assert (stored(server), server.data["generate"]) == (record(work=1), "another step's")


def test_endless_crossings_are_told(server: ConfigMapServer, key: ConfigMapKey) -> None:
    key.write(record())
    looked = b'{"metadata": {"resourceVersion": "1"}}'
    server.answers = [Answer(status=409)]
    for _ in range(MAX_CROSSINGS - 1):
        server.answers += [Answer(status=200, body=looked), Answer(status=409)]

    with pytest.raises(TransientError, match="other writers were faster, got 8 conflicts; see"):
        key.write(record())


@pytest.mark.parametrize(
    ("answer", "want", "want_delay_s"),
    [
        pytest.param(Answer(status=403), "status 403", 0, id="forbidden"),
        pytest.param(Answer(status=404), "status 404", 0, id="no config map"),
        pytest.param(Answer(status=503), "status 503", 0, id="server error"),
        pytest.param(Answer(status=302, headers={"Location": "/"}), "status 302", 0, id="moved"),
        pytest.param(Answer(status=429, headers={"Retry-After": "7"}), "status 429", 7, id="busy"),
        pytest.param(
            Answer(
                status=503,
                headers={
                    "Date": "Tue, 24 Nov 2026 12:00:00 GMT",
                    "Retry-After": "Tue, 24 Nov 2026 12:00:09 GMT",
                },
            ),
            "status 503",
            9,
            id="date",
        ),
        pytest.param(
            Answer(status=429, headers={"Retry-After": "soon"}), "status 429", 0, id="no time"
        ),
    ],
)
def test_a_refusal_is_told_with_the_time_the_server_asks_for(
    server: ConfigMapServer, key: ConfigMapKey, answer: Answer, want: str, want_delay_s: float
) -> None:
    server.answers = [answer]

    with pytest.raises(TransientError) as caught:
        key.write(record())

    assert caught.value.message == (
        "configmap team/sums-progress: progress isn't written, the API server refused, got "
        f"{want}; see the pod's service account and the API server"
    )
    assert caught.value.delay_s == want_delay_s
    assert key.write(record())


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"no JSON"])
def test_an_answer_that_is_no_object_is_told(
    server: ConfigMapServer, key: ConfigMapKey, body: bytes
) -> None:
    server.answers = [Answer(status=200, body=body)]

    with pytest.raises(TransientError, match="progress isn't written, the answer is no object"):
        key.write(record())


def test_a_server_that_is_not_the_cluster_s_is_not_trusted(
    server: ConfigMapServer, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with running_config_maps(other) as stranger:
        access = ApiAccess(url=stranger.url, account=server.account)
        key = ConfigMapKey(access, namespace="team", name="sums-progress", key="prepare")
        with pytest.raises(TransientError, match="can't be reached, got SSLError; see the pod's"):
            key.write(record())
        assert stranger.calls == []


def test_an_absent_token_is_told(server: ConfigMapServer, key: ConfigMapKey) -> None:
    (server.account / "token").unlink()

    with pytest.raises(TransientError, match="can't be reached, got FileNotFoundError; see the"):
        key.write(record())
