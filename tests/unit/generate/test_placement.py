"""Which node each pipeline stage gets."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_jobs.generate.placement import build_bundles, choose_nodes


@pytest.mark.parametrize(
    ("free", "want"),
    [
        pytest.param({"a": 8, "b": 8}, ["a", "b"], id="two_whole_nodes"),
        pytest.param({"a": 8, "b": 7, "c": 8}, ["a", "c"], id="a_node_in_use_is_passed_over"),
        pytest.param({"a": 16, "b": 8}, ["b", "a"], id="the_fullest_that_has_room_comes_first"),
        pytest.param({"a": 16}, ["a", "a"], id="two_stages_of_one_node"),
        pytest.param({"a": 8, "b": 4}, None, id="room_for_one_stage"),
        pytest.param({"a": 4, "b": 4, "c": 4, "d": 4}, None, id="enough_gpus_but_not_together"),
        pytest.param({}, None, id="no_nodes"),
    ],
)
def test_a_stage_is_within_a_node(free: Mapping[str, float], want: list[str] | None) -> None:
    assert choose_nodes(free, tensor_parallel=8, pipeline_parallel=2) == want


@given(
    free=st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 16), max_size=8),
    tensor_parallel=st.sampled_from([1, 2, 4, 8]),
    pipeline_parallel=st.integers(1, 4),
)
def test_no_node_is_asked_for_more_than_it_has_and_room_is_never_missed(
    free: dict[str, int], tensor_parallel: int, pipeline_parallel: int
) -> None:
    chosen = choose_nodes(
        free, tensor_parallel=tensor_parallel, pipeline_parallel=pipeline_parallel
    )
    num_stages = sum(gpus // tensor_parallel for gpus in free.values())
    assert (chosen is not None) == (num_stages >= pipeline_parallel)
    for node in chosen or ():
        assert (chosen or []).count(node) * tensor_parallel <= free[node]


def test_the_bundles_are_the_engine_and_one_for_each_gpu_on_the_node_of_its_stage() -> None:
    bundles = build_bundles(["a", "b"], tensor_parallel=2)
    assert bundles.resources == [{"CPU": 1.0}, *4 * [{"GPU": 1.0}]]
    assert [each["ray.io/node-id"] for each in bundles.selectors] == ["a", "a", "a", "b", "b"]
