"""Stages are placed wherever there is room, and nowhere else."""

from hypothesis import given
from hypothesis import strategies as st

from ray_jobs.generate.placement import choose_nodes


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
