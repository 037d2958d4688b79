"""The controller's settings file."""

from pathlib import Path

import pytest

from controller.operator.settings import Settings, read_settings
from distillery.errors import SpecError


def test_no_file_means_the_defaults() -> None:
    assert read_settings("") == Settings()


def test_a_file_says_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("watchNamespaces: [a, b]\nlimits: {activeSteps: 7}\n")
    settings = read_settings(str(path))
    assert settings.watch_namespaces == ("a", "b")
    assert settings.limits.active_steps == 7


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("colour: red", "settings.yaml: colour: extra inputs are not permitted; mend it"),
        ("limits: {activeSteps: 0}", "settings.yaml: limits.activeSteps: input should be"),
        ("a: [", "settings.yaml: is no YAML, got ParserError; mend it"),
    ],
    ids=["unknown", "out of bounds", "no YAML"],
)
def test_a_bad_file_is_refused_with_the_place(tmp_path: Path, text: str, want: str) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    with pytest.raises(SpecError) as caught:
        read_settings(str(path))
    assert want in caught.value.message


def test_a_missing_file_is_named() -> None:
    with pytest.raises(SpecError, match=r"^/nowhere/settings\.yaml: can't be read, got No such"):
        read_settings("/nowhere/settings.yaml")
