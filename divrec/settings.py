"""Where each setting of a configuration comes from."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel, SecretStr
from pydantic_settings import EnvSettingsSource

from divrec.config import Config, checked, read_file


class Setting(NamedTuple):
    """One setting as it holds. ``origin``: ``default``, the file's path, or the variable's name."""

    name: str
    value: Any
    origin: str
    secret: bool


def load_settings(path: Path | None = None) -> list[Setting]:
    """Every setting of the configuration that ``load_config`` gives, with its origin. Raises ConfigError."""
    file, values = read_file(path)
    config = checked(file, values)
    environment = EnvSettingsSource(Config)()
    settings = []
    for place, value, annotation in _leaves(config):
        origin = "default"
        if _holds(values, place):
            origin = str(file)
        if _holds(environment, place):
            origin = _variable(place)
        secret = SecretStr in (annotation, *get_args(annotation))
        settings.append(Setting(".".join(place), value, origin, secret))
    return settings


def _leaves(section: BaseModel, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """Place, value and type of each setting in ``section``."""
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from _leaves(value, (*place, name))
        else:
            yield (*place, name), value, field.annotation


def _holds(values: Any, place: tuple[str, ...]) -> bool:
    for part in place:
        if not isinstance(values, Mapping) or part not in values:
            return False
        values = values[part]
    return True


def _variable(place: tuple[str, ...]) -> str:
    """The environment variable that sets this: its own, or one of a whole section, in JSON."""
    upper = {name.upper(): name for name in os.environ}
    for end in range(len(place), 0, -1):
        name = f"DIVREC_{'__'.join(place[:end])}".upper()
        if name in upper:
            return upper[name]
    raise AssertionError(f"no variable sets {'.'.join(place)}")
