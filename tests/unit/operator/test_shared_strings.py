"""What is the same in many objects is kept once."""

import json

from controller.operator.caches import MAX_SHARED_CHARS, share_strings

TEXT = json.dumps(
    {
        "metadata": {"name": "sums", "uid": "u" * (MAX_SHARED_CHARS + 1)},
        "status": {"stages": [{"state": "Running", "attempt": 3}], "ok": True, "none": None},
    }
)


def test_nothing_is_changed() -> None:
    assert share_strings(json.loads(TEXT)) == json.loads(TEXT)


def test_names_and_short_strings_of_two_objects_are_the_same_ones() -> None:
    one, two = (share_strings(json.loads(TEXT)) for _ in range(2))
    stages = [each["status"]["stages"][0] for each in (one, two)]
    assert stages[0]["state"] is stages[1]["state"]
    for first, second in zip(stages[0], stages[1], strict=True):
        assert first is second
    assert one["metadata"]["uid"] is not two["metadata"]["uid"]
