"""Only what has changed is written, and progress alone waits for its turn."""

from hypothesis import given
from hypothesis import strategies as st

from controller.operator.recording import merge_patch, without_progress

values = st.recursive(
    st.integers(0, 3) | st.text("ab", max_size=2) | st.lists(st.integers(0, 2), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.sampled_from("xyz"), values, max_size=3)


def apply(target: object, patch: object) -> object:
    """RFC 7386, as its text says it."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = apply(result.get(name), value)
    return result


@given(objects, objects)
def test_the_patch_makes_the_new_status_of_the_old(old: dict, new: dict) -> None:
    assert apply(old, merge_patch(old, new)) == new


@given(objects)
def test_nothing_changed_is_an_empty_patch(old: dict) -> None:
    assert merge_patch(old, old) == {}


def test_a_patch_names_what_has_changed_and_nothing_else() -> None:
    old = {"a": {"x": 1, "y": 2}, "b": [1], "c": 3}
    new = {"a": {"x": 1, "y": 5}, "b": [1], "d": 4}
    assert merge_patch(old, new) == {"a": {"y": 5}, "c": None, "d": 4}


def test_progress_and_summary_are_no_transition() -> None:
    old = {"stages": [{"stage": "train", "progress": {"done": 1}}], "summary": {"progress": "1%"}}
    new = {"stages": [{"stage": "train", "progress": {"done": 9}}], "summary": {"progress": "9%"}}
    assert without_progress(old) == without_progress(new)
    other = {"stages": [{"stage": "train", "state": "Done"}], "summary": {}}
    assert without_progress(old) != without_progress(other)
