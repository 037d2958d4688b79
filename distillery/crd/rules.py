"""CEL rules: their form, and those that one part of a job can be judged by alone.

The words are those of ``distillery.validation``, which judges the same when a job is validated or
run without a cluster; a test compares the two. Rules of unions are ``unions.py``, of a job that
has started ``immutability.py``.
"""

from dataclasses import dataclass

from distillery.crd.places import Schema, find_place
from distillery.errors import MAX_MESSAGE_CHARS, InvariantError
from distillery.names import MAX_JOB_NAME_CHARS, NAME_PATTERN


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One CEL rule of the object it is attached to.

    Its cost is estimated from the bounds of what it reads: numbers are put into messages with
    ``format``, for text made with ``string`` has none.

    ``message`` or ``message_expression`` (CEL that makes the message) says what is wrong; the path
    before it is that of the object, with ``field`` (such as ``.topK``) behind it.
    """

    expression: str
    message: str = ""
    message_expression: str = ""
    field: str = ""

    def dump(self) -> Schema:
        """As the CRD holds it."""
        dumped = {"rule": self.expression}
        if self.message:
            dumped["message"] = self.message
        if self.message_expression:
            dumped["messageExpression"] = self.message_expression
        if self.field:
            dumped["fieldPath"] = self.field
        return dumped


def attach_rule(schema: Schema, rule: Rule) -> None:
    """Adds ``rule`` to those of the object.

    Raises: ``InvariantError`` where the rule has no message, or one too long.
    """
    if not 0 < len(rule.message or rule.message_expression) <= MAX_MESSAGE_CHARS:
        raise InvariantError(
            f"{rule.expression[:80]}: needs a message of at most {MAX_MESSAGE_CHARS} characters, "
            f"got {len(rule.message)}; write one"
        )
    schema.setdefault("x-kubernetes-validations", []).append(rule.dump())


NAME_RULE = Rule(
    expression=f"self.metadata.name.size() <= {MAX_JOB_NAME_CHARS} && "
    f"self.metadata.name.matches('{NAME_PATTERN}')",
    message_expression="'is no legal name, got %s; use lower-case letters, digits and -, starting "
    f"with a letter, at most {MAX_JOB_NAME_CHARS}'.format([self.metadata.name])",
    field=".metadata.name",
)

_BATCH = "self.training.batchSize / self.workers.replicas"
_PODS_ONLY = (
    "image",
    "profile",
    "serviceAccountName",
    "queueName",
    "priorityClassName",
    "modelCache",
)
_NO_ADDRESS = "(!has(self.rayAddress) || self.rayAddress == '')"


def _pods_only(name: str) -> Rule:
    """Refuses a field that speaks of pods where the Ray cluster is another's."""
    is_empty = "" if name == "modelCache" else f" || self.{name} == ''"
    return Rule(
        expression=f"{_NO_ADDRESS} || !has(self.{name}){is_empty}",
        message="is for pods of the job's own, got rayAddress besides; remove one of the two",
        field=f".{name}",
    )


# By the object they judge. Defaults are filled in before the rules are asked, but not where the API
# server judges an object's own default, such as `{}`: what such an object holds is asked for first.
OBJECT_RULES: dict[str, tuple[Rule, ...]] = {
    "spec": (
        Rule(
            expression="!has(self.credentials) || self.credentials.size() == 0 || "
            "!has(self.runtime) || !has(self.runtime.rayAddress) || self.runtime.rayAddress == ''",
            message="can't be handed to another's Ray cluster, got rayAddress besides; storage "
            "credentials must be on that cluster already, remove them here",
            field=".credentials",
        ),
        Rule(
            expression="!has(self.credentials) || "
            "self.credentials.filter(each, each.kind == 'HuggingFace').size() <= 1",
            message="a process has one hub token, got a second HuggingFace credential; remove it",
            field=".credentials",
        ),
    ),
    "spec.teacher.sampling": (
        Rule(
            expression="!has(self.topK) || self.topK != 0",
            message="must be -1 (all) or 1 and more, got 0",
            field=".topK",
        ),
        Rule(
            expression="!has(self.samplesPerPrompt) || self.samplesPerPrompt == 1 || "
            "!has(self.temperature) || self.temperature > 0.0",
            message_expression="'greedy answers are all the same, got %d at temperature 0; "
            "use 1, or a temperature above 0'.format([self.samplesPerPrompt])",
            field=".samplesPerPrompt",
        ),
    ),
    "spec.students[]": (
        Rule(
            expression="!('Base' in self.arms)",
            message="Base is the untrained student and always evaluated, got Base; remove it",
            field=".arms",
        ),
        Rule(
            expression="self.target != 'ReasonThenAnswer' || !('Gold' in self.arms)",
            message="ground truth has no reasoning to train on, got Gold with ReasonThenAnswer; "
            "remove it",
            field=".arms",
        ),
        Rule(
            expression="self.training.batchSize % self.workers.replicas == 0 && "
            f"({_BATCH} <= self.training.microBatchSize || "
            f"({_BATCH}) % self.training.microBatchSize == 0)",
            message_expression="'must be workers (%d) x microBatchSize (%d) x a whole number, "
            "got %d; change one of them'.format("
            "[self.workers.replicas, self.training.microBatchSize, self.training.batchSize])",
            field=".training.batchSize",
        ),
    ),
    "spec.students[].training": (
        Rule(
            expression="!has(self.maxSteps) || self.warmupSteps < self.maxSteps",
            message_expression="'must be below maxSteps (%d), got %d'"
            ".format([self.maxSteps, self.warmupSteps])",
            field=".warmupSteps",
        ),
        Rule(
            expression="!has(self.minLearningRateRatio) || self.minLearningRateRatio == 0.0 || "
            "!has(self.scheduler) || self.scheduler == 'cosine'",
            message_expression="'is for the cosine scheduler only, got %s; remove it'"
            ".format([self.scheduler])",
            field=".minLearningRateRatio",
        ),
    ),
    "spec.evaluation.engine": (
        Rule(
            expression="!has(self.replicas) || self.replicas == 1",
            message_expression="'must be 1, evaluation runs one engine a model, got %d; remove it'"
            ".format([self.replicas])",
            field=".replicas",
        ),
        Rule(
            expression="!has(self.structuredOutputs) || !self.structuredOutputs",
            message="is for the teacher: students are judged by what they say, got true; remove it",
            field=".structuredOutputs",
        ),
    ),
    "spec.evaluation.promoteIf": (
        Rule(
            expression="self.arm != self.beats && self.arm != 'Base'",
            message_expression="'must be a trained arm other than beats (%s), got %s'"
            ".format([self.beats, self.arm])",
            field=".arm",
        ),
    ),
    "spec.runtime": (
        Rule(
            expression=f"!has(self.rayTokenSecretRef) || !{_NO_ADDRESS}",
            message="is for spec.runtime.rayAddress only, got a Secret; remove it",
            field=".rayTokenSecretRef",
        ),
        *(_pods_only(name) for name in _PODS_ONLY),
    ),
}


def attach_object_rules(schema: Schema) -> None:
    """Adds the rules below to the whole resource's schema."""
    attach_rule(schema, NAME_RULE)
    for place, rules in OBJECT_RULES.items():
        for rule in rules:
            attach_rule(find_place(schema, place), rule)
