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
    "EndpointUnreachable": "see storage.endpointUrl and that the server runs",
    "StorageUnfit": "take storage that creates objects conditionally (AWS S3, a file:// folder)",
    "DiskFull": "free disk space, then run the same command: finished steps are kept",
    "SuccessRatioTooLow": "read the reasons and examples above; mend prompts or maxTokens, take a "
    "better teacher, or lower teacher.minSuccessRatio",
    "BadRows": "mend these rows, or the fields mapping",
    "EngineOutOfMemory": "lower kvCacheGib, maxNumSeqs or maxModelLen of the engine",
    "TrainerOutOfMemory": "lower training.microBatchSize or maxLength, or set "
    "gradientCheckpointing",
    "TrainingDiverged": "lower training.learningRate, or warm up longer",
    "TooManyTruncated": "raise training.maxLength, or shorten the data",
    "HopelessSuccessRatio": "see the example answers in the log; mend prompts or maxTokens, take a "
    "better teacher, or lower teacher.minSuccessRatio",
    "ManifestChanged": "something else wrote to this job's storage; run the same command again",
    "InvalidLabel": "mend the row, or name all labels in prompts.labels",
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
