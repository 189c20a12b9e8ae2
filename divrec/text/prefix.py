"""What a text model wants put before each text: as its directory says, else as models of its name are known to."""

import json
import re
from pathlib import Path

FILE = "config_sentence_transformers.json"
"""sentence-transformers' own file: ``prompts`` by name, and ``default_prompt_name``."""


def usual_prefix(name: str, directory: Path) -> str:
    """E5 models were trained with a prefix and expect it; those that were trained on say so in ``FILE``."""
    try:
        told = json.loads((directory / FILE).read_text("utf-8"))
        return str(told["prompts"][told["default_prompt_name"]])
    except (OSError, ValueError, KeyError, TypeError):
        return "passage: " if re.search(r"(^|[^a-z0-9])e5([^a-z0-9]|$)", name.lower()) else ""


def write_prefix(directory: Path, prefix: str) -> None:
    told = {"prompts": {"passage": prefix}, "default_prompt_name": "passage"}
    (directory / FILE).write_text(json.dumps(told, indent=2), "utf-8")
