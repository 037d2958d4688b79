"""What to do about a failure, for the person who reads it at three in the morning. Pure."""

from distillery.steps import Stage

_BY_REASON = {
    "DriverDied": "most often the system killed it for want of memory: free some, or lower "
    "teacher.engine.kvCacheGib, maxNumSeqs or training.microBatchSize; then run it again",
    "OutcomeMissing": "read the end of its log; running again is safe",
    "StoppedFromOutside": "somebody stopped it in the Ray dashboard; run the same command to go on",
    "VerdictUnreadable": "controller and stages are of different versions; install one version",
    "BucketMissing": "create the bucket, or mend storage.uri",
    "AccessDenied": "see the AWS credentials of this shell (AWS_ACCESS_KEY_ID, AWS_PROFILE)",
    "StorageUnreachable": "see storage.endpointUrl and that the server runs",
    "DiskFull": "free disk space, then run the same command: finished steps are kept",
    "OutOfMemory": "lower teacher.engine.kvCacheGib, maxNumSeqs or training.microBatchSize",
    "ClusterLost": "run the same command again; see logs/ray-start.log if it happens twice",
    "RayStartFailed": "read the end of logs/ray-start.log",
    "ConfigUnreadable": "controller and stages are of different versions; install one version",
    "UnexpectedError": "the traceback is in the log; running again is safe",
    "Bug": "this is our fault: report it with the log",
}
_BY_STAGE = {
    Stage.PREPARE: "see dataset, model and storage URIs in the job file",
    Stage.GENERATE: "look at the example answers in the log; answers made so far are kept",
    Stage.CURATE: "see the reasons counted in the log; prompts, teacher or minSuccessRatio are "
    "where to turn",
    Stage.TRAIN: "see the last lines of the log; finished trials and checkpoints are kept",
    Stage.EVALUATE: "see the last lines of the log; trained weights are kept",
    Stage.PUBLISH: "see the last lines of the log; trained weights are kept",
}


def hint_for(stage: Stage, *, reason: str) -> str:
    """The way out: by the reason where it is known, by the stage otherwise."""
    return _BY_REASON.get(reason) or _BY_STAGE[stage]
