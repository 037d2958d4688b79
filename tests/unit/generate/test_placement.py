"""Which node each pipeline stage gets."""

from collections.abc import Mapping

import pytest

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


def test_the_bundles_are_the_engine_and_one_for_each_gpu_on_the_node_of_its_stage() -> None:
    bundles = build_bundles(["a", "b"], tensor_parallel=2)
    assert bundles.resources == [{"CPU": 1.0}, *4 * [{"GPU": 1.0}]]
    assert [each["ray.io/node-id"] for each in bundles.selectors] == ["a", "a", "a", "b", "b"]
