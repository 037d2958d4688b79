"""The controller's own settings: a YAML file, as the chart writes it, and few flags.

What holds for jobs' pods is ``controller.launchers.kuberay.installation``.
"""

from pathlib import Path

import yaml
from pydantic import Field, ValidationError

from controller.launchers.kuberay.installation import Installation
from distillery.errors import SpecError
from distillery.spec.model import Model


class LimitSettings(Model):
    """How much may be started, over all jobs."""

    launches_per_second: float = Field(default=2.0, gt=0, le=100)
    """KubeRay takes about 1.8 RayJobs in a second."""
    active_steps: int = Field(default=200, ge=1, le=100_000)
    active_steps_per_namespace: int = Field(default=20, ge=1, le=100_000)


class Settings(Model):
    """The file's content."""

    watch_namespaces: tuple[str, ...] = ()
    """Which namespaces to watch; empty: all."""
    workers: int = Field(default=4, ge=1, le=64)
    """Jobs that are looked at at the same time."""
    limits: LimitSettings = LimitSettings()
    installation: Installation = Installation()
    external_ray_scratch_dir: str = "/tmp/distillery"
    """Folder on the nodes of existing Ray clusters (``spec.runtime.rayAddress``)."""


def read_settings(path: str) -> Settings:
    """The settings in the file; the defaults for an empty path.

    Raises: ``SpecError`` where it can't be read or says something unknown.
    """
    if not path:
        return Settings()
    try:
        document = yaml.safe_load(Path(path).read_text("utf-8"))
        return Settings.model_validate(document or {})
    except OSError as error:
        raise SpecError(
            f"{path}: can't be read, got {error.strerror}; name the controller's settings file",
            reason="SettingsUnreadable",
        ) from error
    except yaml.YAMLError as error:
        raise SpecError(
            f"{path}: is no YAML, got {type(error).__name__}; mend it", reason="SettingsUnreadable"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise SpecError(
            f"{path}: {place}: {first['msg'].lower()}; mend it", reason="SettingsUnreadable"
        ) from error
