"""The verbs on jobs in a cluster: their arguments, and how one is run.

What each does is ``cluster.py`` and ``cluster_logs.py``; errors become exit codes in ``main.py``.
"""

import argparse
import os
from collections.abc import Callable
from typing import Any, TextIO

from controller.cli.cluster import (
    delete_job,
    resume_job,
    show_report,
    show_status,
    suspend_job,
    upgrade_job,
)
from controller.cli.cluster_logs import show_logs
from controller.cli.cluster_target import ClusterApi, ClusterTarget
from distillery.errors import MAX_MESSAGE_CHARS, ExternalError, TransientError

Connect = Callable[[str | None, str | None], tuple[ClusterApi, str]]
"""From kubeconfig and context to the API server and the namespace meant where none is named."""
EXIT_OK = 0
EXIT_INTERRUPTED = 130
_AGAIN = "; tried again"
_WAY_OUT = "see the kubeconfig and its login, then run the command again"
_ROOM = MAX_MESSAGE_CHARS - len(_WAY_OUT) - len("; ")
VERBS: dict[str, Callable[[ClusterTarget, Any], int]] = {
    "status": lambda target, _: show_status(target),
    "logs": lambda target, parsed: show_logs(target, step=parsed.step, follow=parsed.follow),
    "suspend": lambda target, _: suspend_job(target),
    "resume": lambda target, _: resume_job(target),
    "upgrade": lambda target, _: upgrade_job(target),
    "delete": lambda target, _: delete_job(target),
    "report": lambda target, _: show_report(target),
}
"""What each verb does with its parsed arguments; the exit code."""
_HELP = {
    "status": (
        "how a job in a cluster is",
        """\
Print the job's state, what keeps it from going on, and each step's progress.

examples:
  distillery status commonsense                in the namespace of the kubeconfig's context
  distillery status commonsense -n team-a
  watch -n 10 distillery status commonsense

exit codes: 0 all is well, 1 it has failed or was refused, 2 there is no such job
""",
    ),
    "logs": (
        "the log of a step in a cluster",
        """\
Print the log of a step's latest attempt, while its pods are there. Logs of all its pods are kept
in the job's storage too, and this command says where once they are gone.

examples:
  distillery logs commonsense -f               the step that runs, else the one that failed
  distillery logs commonsense --step train-small | tail -50

exit codes: 0 printed, 1 there is no log to be had, 2 there is no such job or step
""",
    ),
    "suspend": (
        "stop a job in a cluster, keeping what is finished",
        """\
Delete the job's pods. Finished steps are kept; distillery resume goes on.

exit codes: 0 suspended, 1 refused or over already, 2 there is no such job
""",
    ),
    "resume": (
        "go on with a suspended job, or try a failed one again",
        """\
Go on where the job was suspended, or has failed: mend what was wrong before. Finished steps are
found and not run again.

exit codes: 0 it goes on, 1 refused or succeeded already, 2 there is no such job
""",
    ),
    "upgrade": (
        "run a job's next attempts with the present image",
        """\
A job keeps the image it was accepted with, whatever the installation is updated to. This moves it
to the installation's present image: from the next attempt of any step on.

examples:
  distillery upgrade commonsense -n team-a
  distillery suspend commonsense && distillery upgrade commonsense && distillery resume commonsense
                                               at once, giving up the attempt that runs

exit codes: 0 asked for, 1 refused, 2 there is no such job
""",
    ),
    "delete": (
        "delete a job in a cluster; artefacts stay",
        """\
Delete the resource and all its pods. What it made stays in storage, and the same job applied again
goes on from there.

exit codes: 0 deleted, 1 refused, 2 there is no such job
""",
    ),
    "report": (
        "a job's figures, and where its report and weights lie",
        """\
Print every arm's figures and the places of report and weights.

exit codes: 0 printed, 1 there are none yet, 2 there is no such job
""",
    ),
}


def add_verbs(commands: Any) -> None:
    """Adds a command for each verb to ``argparse``'s subparsers."""
    for name, (summary, description) in _HELP.items():
        verb = commands.add_parser(
            name,
            help=summary,
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        verb.add_argument("job", metavar="JOB", help="the DistillationJob's name")
        verb.add_argument("-n", "--namespace", default="", help="default: the context's")
        verb.add_argument(
            "--kubeconfig",
            metavar="FILE",
            default=None,
            help="default: KUBECONFIG, else the pod's service account, else ~/.kube/config",
        )
        verb.add_argument("--context", default=None, help="default: the kubeconfig's current one")
        if name == "logs":
            verb.add_argument(
                "--step",
                default="",
                help="such as train-small; default: the one that runs, else the one that failed",
            )
            verb.add_argument("-f", "--follow", action="store_true", help="go on as it grows")


def run_verb(parsed: argparse.Namespace, out: TextIO, *, connect: Connect | None = None) -> int:
    """Runs the verb; returns its exit code. Ctrl-C and a reader that has gone, as in ``logs -f``,
    end it in good order. Raises ``DistilleryError``."""
    try:
        api, namespace = (connect or _connect)(parsed.kubeconfig, parsed.context)
        namespace = parsed.namespace or namespace
        target = ClusterTarget(api=api, namespace=namespace, name=parsed.job, out=out)
        code = VERBS[parsed.command](target, parsed)
        out.flush()
    except TransientError as error:
        # Nothing is tried again here, as the operator would.
        problem = error.message.partition(_AGAIN)[0]
        raise ExternalError(f"{problem[:_ROOM]}; {_WAY_OUT}", reason=error.reason) from error
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Python flushes what is left once more when it ends: into nothing.
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), out.fileno())
        return EXIT_OK
    return code


def _connect(kubeconfig: str | None, context: str | None) -> tuple[ClusterApi, str]:
    # The client of the API server takes a while to load, and most commands need none.
    from controller.kube.connecting import connect

    return connect(kubeconfig=kubeconfig, context=context)
