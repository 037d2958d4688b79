"""How the client words and sorts what a dashboard answers. Against real Ray:
tests/integration/controller/test_ray_launcher.py."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from controller.launchers.ray_jobs_api import RayJob, RayJobsApi
from controller.plan.snapshot import RayStatus
from distillery.errors import ExternalError, TransientError

JOB = RayJob(submission_id="j", entrypoint="true", env_vars={}, metadata={})
Answers = dict[tuple[str, str], tuple[int, str]]


@pytest.fixture
def answers() -> Answers:
    """What the server answers, by method and path."""
    return {}


@pytest.fixture
def api(answers: Answers) -> Iterator[RayJobsApi]:
    """A client of a server that answers as told, 404 otherwise."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer("GET")

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.answer("POST")

        def answer(self, method: str) -> None:
            code, text = answers.get((method, self.path), (404, "no such job"))
            self.send_response(code)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    client = RayJobsApi(f"http://127.0.0.1:{server.server_port}/", token="secret")
    yield client
    client.close()
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_job_that_ray_does_not_know_is_lost(api: RayJobsApi) -> None:
    assert api.fetch_status("j") == RayStatus.LOST


def test_submitting_a_known_job_again_changes_nothing(api: RayJobsApi, answers: Answers) -> None:
    answers["POST", "/api/jobs/"] = (500, "Traceback\nValueError: j already exists")
    answers["GET", "/api/jobs/j"] = (200, json.dumps({"status": "RUNNING"}))
    api.submit(JOB)


def test_a_refused_submission_says_what_ray_says(api: RayJobsApi, answers: Answers) -> None:
    answers["POST", "/api/jobs/"] = (500, "Traceback\nValueError: no room")
    with pytest.raises(ExternalError, match="Ray answers 500, got 'ValueError: no room'") as caught:
        api.submit(JOB)
    assert (caught.value.reason, caught.value.status_code) == ("RayRefused", 500)


def test_a_ray_that_is_not_ready_yet_is_asked_again(api: RayJobsApi, answers: Answers) -> None:
    detail = "No available agent to submit job, please try again later."
    answers["POST", "/api/jobs/"] = (500, detail)
    with pytest.raises(TransientError, match="Ray takes no jobs yet, got 'No available") as caught:
        api.submit(JOB)
    assert (caught.value.reason, caught.value.delay_s) == ("RayNotReady", 1.0)


@pytest.mark.parametrize("code", [401, 403])
def test_a_wrong_token_says_how_to_give_one(api: RayJobsApi, answers: Answers, code: int) -> None:
    answers["GET", "/api/version"] = (code, "Unauthorized")
    with pytest.raises(
        ExternalError, match=f"refuses the token, got {code}; set RAY_AUTH_TOKEN"
    ) as e:
        api.fetch_version()
    assert "secret" not in e.value.message


def test_something_that_is_no_dashboard_is_named_so(api: RayJobsApi, answers: Answers) -> None:
    answers["GET", "/api/version"] = (200, "<html>")
    with pytest.raises(ExternalError, match="is no Ray dashboard, got an answer that is no JSON"):
        api.fetch_version()


def test_no_answer_at_all_is_worth_another_try(api: RayJobsApi) -> None:
    gone = RayJobsApi("http://127.0.0.1:1")
    with pytest.raises(TransientError, match="Ray doesn't answer, got ConnectionError; see that"):
        gone.fetch_version()
    gone.close()


def test_stopping_a_job_that_has_ended_is_no_failure(api: RayJobsApi, answers: Answers) -> None:
    answers["POST", "/api/jobs/j/stop"] = (500, "no supervisor")
    answers["GET", "/api/jobs/j"] = (200, json.dumps({"status": "FAILED"}))
    api.stop("j")
    answers["GET", "/api/jobs/j"] = (200, json.dumps({"status": "RUNNING"}))
    with pytest.raises(ExternalError, match="Ray answers 500"):
        api.stop("j")
