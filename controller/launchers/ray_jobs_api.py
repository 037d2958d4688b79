"""The Ray Jobs REST API, as far as a launcher needs it. Library exceptions stay in here.

Ray serves it beside the dashboard. With Ray's token authentication on, every path wants the token.
"""

from dataclasses import dataclass
from typing import Any

import requests

from controller.plan.snapshot import RayStatus
from distillery.errors import DistilleryError, ExternalError, TransientError

TIMEOUT_S = 30.0
_MAX_DETAIL_CHARS = 100
_NOT_READY = "No available agent to submit job"
"""Of a 500 while the head's agent hasn't reported yet."""


@dataclass(frozen=True, kw_only=True)
class RayJob:
    """A Ray job to submit. ``submission_id`` names it: the same one is never run twice."""

    submission_id: str
    entrypoint: str
    env_vars: dict[str, str]
    metadata: dict[str, str]


class RayJobsApi:
    """A client of one Ray cluster.

    Args:
        address: The dashboard's URL, such as ``http://127.0.0.1:8265``.
        token: Ray's authentication token; empty where the cluster asks for none.
    """

    def __init__(self, address: str, *, token: str = "") -> None:
        self.address = address.rstrip("/")
        self._session = requests.Session()
        # The dashboard is this machine's or a chosen one: proxies of the surroundings and
        # credentials of ~/.netrc have no part in it.
        self._session.trust_env = False
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"

    def close(self) -> None:
        """Lets go of the connections."""
        self._session.close()

    def fetch_version(self) -> str:
        """The cluster's Ray version."""
        return str(self._json("GET", "/api/version")["ray_version"])

    def submit(self, job: RayJob) -> None:
        """Has Ray run the job. Submitting it again changes nothing."""
        body = {
            "entrypoint": job.entrypoint,
            "submission_id": job.submission_id,
            "metadata": job.metadata,
            "runtime_env": {"env_vars": job.env_vars},
        }
        try:
            self._json("POST", "/api/jobs/", body=body)
        except DistilleryError:
            # Ray answers 500 for an id it knows, and a lost answer looks like no answer: whether
            # the job is there is the only thing that counts.
            if self.fetch_status(job.submission_id) == RayStatus.LOST:
                raise

    def fetch_status(self, submission_id: str) -> RayStatus:
        """The job's status; ``LOST`` where Ray knows no such job."""
        try:
            found = self._json("GET", f"/api/jobs/{submission_id}")
        except ExternalError as error:
            if error.status_code == requests.codes.not_found:
                return RayStatus.LOST
            raise
        return RayStatus(found["status"])

    def fetch_log(self, submission_id: str) -> str:
        """The whole log of the job's driver so far; empty before it has begun."""
        return str(self._json("GET", f"/api/jobs/{submission_id}/logs").get("logs") or "")

    def stop(self, submission_id: str) -> None:
        """Asks Ray to stop the job; nothing happens where it has ended or isn't there."""
        try:
            self._json("POST", f"/api/jobs/{submission_id}/stop")
        except ExternalError:
            if not self.fetch_status(submission_id).is_final:
                raise

    def _json(self, method: str, path: str, *, body: dict[str, Any] | None = None) -> Any:
        place = f"{self.address}{path}"
        try:
            response = self._session.request(method, place, json=body, timeout=TIMEOUT_S)
        except requests.RequestException as error:
            raise TransientError(
                f"{self.address}: Ray doesn't answer, got {type(error).__name__}; "
                "see that the cluster runs and --ray-address is its dashboard",
                reason="RayUnreachable",
                delay_s=1.0,
            ) from error
        code = response.status_code
        if code in (requests.codes.unauthorized, requests.codes.forbidden):
            raise ExternalError(
                f"{self.address}: Ray refuses the token, got {code}; set RAY_AUTH_TOKEN, or "
                "RAY_AUTH_TOKEN_PATH to a file that holds it",
                reason="RayUnauthorized",
                status_code=code,
            )
        if code >= requests.codes.bad_request:
            lines = response.text.strip().splitlines()
            detail = lines[-1][:_MAX_DETAIL_CHARS] if lines else ""
            if _NOT_READY in response.text:
                raise TransientError(
                    f"{self.address}: Ray takes no jobs yet, got '{detail}'; see that the cluster "
                    "runs",
                    reason="RayNotReady",
                    delay_s=1.0,
                )
            raise ExternalError(
                f"{place[:80]}: Ray answers {code}, got '{detail}'; see Ray's dashboard log",
                reason="RayRefused",
                status_code=code,
            )
        try:
            return response.json()
        except requests.JSONDecodeError as error:
            raise ExternalError(
                f"{place[:80]}: is no Ray dashboard, got an answer that is no JSON; "
                "pass the dashboard's URL, such as http://host:8265",
                reason="NoRayDashboard",
            ) from error
