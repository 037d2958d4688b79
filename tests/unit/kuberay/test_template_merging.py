"""Strategic merge of pod templates."""

from typing import Any

import pytest

from controller.launchers.kuberay.merging import merge

Json = dict[str, Any]


@pytest.mark.parametrize(
    ("base", "patch", "want"),
    [
        pytest.param({"a": 1}, {"b": 2}, {"a": 1, "b": 2}, id="fields are added"),
        pytest.param({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}, {"a": {"b": 3, "c": 2}}, id="mappings"),
        pytest.param({"args": [1, 2]}, {"args": [3]}, {"args": [3]}, id="plain lists are replaced"),
        pytest.param(
            {"containers": [{"name": "a", "x": 1}, {"name": "b"}]},
            {"containers": [{"name": "b", "y": 2}, {"name": "c"}]},
            {"containers": [{"name": "a", "x": 1}, {"name": "b", "y": 2}, {"name": "c"}]},
            id="containers by name",
        ),
        pytest.param(
            {"env": [{"name": "A", "value": "1"}]},
            {"env": [{"name": "A", "valueFrom": {}}, {"name": "B", "value": "2"}]},
            {"env": [{"name": "A", "valueFrom": {}}, {"name": "B", "value": "2"}]},
            id="a variable is replaced whole",
        ),
        pytest.param(
            {"volumes": [{"name": "v", "emptyDir": {}}]},
            {"volumes": [{"name": "v", "secret": {"secretName": "s"}}]},
            {"volumes": [{"name": "v", "secret": {"secretName": "s"}}]},
            id="a volume has one source",
        ),
        pytest.param(
            {"volumeMounts": [{"name": "v", "mountPath": "/a"}]},
            {"volumeMounts": [{"name": "w", "mountPath": "/a"}, {"name": "v", "mountPath": "/b"}]},
            {"volumeMounts": [{"name": "w", "mountPath": "/a"}, {"name": "v", "mountPath": "/b"}]},
            id="mounts by path",
        ),
        pytest.param(
            {"tolerations": [{"key": "a"}]},
            {"tolerations": [{"key": "a"}, {"key": "b"}]},
            {"tolerations": [{"key": "a"}, {"key": "b"}]},
            id="tolerations are united",
        ),
        pytest.param(
            {"imagePullSecrets": [{"name": "a"}]},
            {"imagePullSecrets": [{"name": "b"}]},
            {"imagePullSecrets": [{"name": "a"}, {"name": "b"}]},
            id="pull secrets by name",
        ),
        pytest.param({"a": {"b": 1}}, {"a": None}, {"a": None}, id="another type replaces"),
    ],
)  # fmt: skip
def test_a_patch_is_merged(base: Json, patch: Json, want: Json) -> None:
    assert merge(base, patch) == want


def test_merging_changes_and_shares_nothing() -> None:
    base: Json = {"containers": [{"name": "a", "env": [{"name": "A", "value": "1"}]}]}
    patch: Json = {"containers": [{"name": "a", "env": [{"name": "B", "value": "2"}]}]}
    merged = merge(base, patch)
    merged["containers"][0]["env"][0]["value"] = "x"
    merged["containers"][0]["env"][1]["value"] = "y"
    assert base == {"containers": [{"name": "a", "env": [{"name": "A", "value": "1"}]}]}
    assert patch == {"containers": [{"name": "a", "env": [{"name": "B", "value": "2"}]}]}
