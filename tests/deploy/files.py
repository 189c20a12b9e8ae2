"""The files of the deployment, read as their tools read them."""

import fnmatch
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]


def compose(environment: dict[str, str] | None = None) -> dict[str, Any]:
    """``docker-compose.yml`` with its variables filled in."""
    text = (ROOT / "docker-compose.yml").read_text("utf-8")

    def value(match: re.Match[str]) -> str:
        return "$" if match[0] == "$$" else (environment or {}).get(match["name"], match["default"])

    filled = re.sub(r"\$\$|\$\{(?P<name>\w+):-(?P<default>[^}]*)\}", value, text)
    loaded: dict[str, Any] = yaml.safe_load(filled)
    return loaded


@dataclass
class Stage:
    """One ``FROM``; ``steps`` are instruction and argument, in order."""

    base: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def all(self, instruction: str) -> list[str]:
        return [argument for name, argument in self.steps if name == instruction]


def dockerfile() -> tuple[dict[str, Stage], dict[str, str]]:
    """The stages by name, and the arguments given before the first."""
    lines = [line for line in (ROOT / "deploy/Dockerfile").read_text("utf-8").splitlines() if not line.startswith("#")]
    stages: dict[str, Stage] = {}
    arguments: dict[str, str] = {}
    current: Stage | None = None
    for line in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines():
        if not line.strip():
            continue
        name, _, argument = line.strip().partition(" ")
        if name == "FROM":
            base, _, stage = argument.partition(" AS ")
            current = stages[stage] = Stage(re.sub(r"\$\{(\w+)\}", lambda m: arguments[m[1]], base))
        elif current is None:
            assert name == "ARG", line
            arguments.update([argument.split("=", 1)])
        else:
            current.steps.append((name, argument.strip()))
    return stages, arguments


def lineage(stages: dict[str, Stage], name: str) -> list[Stage]:
    """The stage and those it builds upon, the first one first."""
    found: list[Stage] = []
    while name in stages:
        found.insert(0, stages[name])
        name = stages[name].base
    return found


def environment(stages: dict[str, Stage], name: str) -> dict[str, str]:
    """What the containers of a stage have in their environment."""
    words = [word for stage in lineage(stages, name) for line in stage.all("ENV") for word in shlex.split(line)]
    return dict(word.split("=", 1) for word in words)


def ignored(path: str) -> bool:
    """Whether ``.dockerignore`` keeps a file of the checkout out of the build: the last line that matches decides."""
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    result = False
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        pattern = line.strip().removeprefix("!")
        parts = path.split("/")
        starts = range(len(parts)) if pattern.startswith("**/") else [0]
        pattern = pattern.removeprefix("**/")
        whole = [(start, end) for start in starts for end in range(start + 1, len(parts) + 1)]
        if any(
            pattern.count("/") == end - start - 1 and fnmatch.fnmatch("/".join(parts[start:end]), pattern)
            for start, end in whole
        ):
            result = not line.startswith("!")
    return result


def listed(name: str) -> set[str]:
    """The packages that a file of ``deploy/`` names."""
    return {line for line in (ROOT / "deploy" / name).read_text("utf-8").splitlines() if line and line[0] != "#"}


def locked() -> dict[str, str]:
    """Name to version of everything in ``requirements.lock``."""
    text = (ROOT / "requirements.lock").read_text("utf-8")
    return dict(re.findall(r"^([a-z0-9-]+)==([^ \\]+)", text, re.MULTILINE))
