"""A training from its task to a directory that ``encoder.model`` accepts. Imports torch.

While it learns, ``OUT.partial`` holds its last checkpoint, and of which training it is; ``OUT`` appears complete or not
at all.
"""

import dataclasses
import fcntl
import json
import shutil
from pathlib import Path

from divrec.errors import ConfigError
from divrec.training.loop import Figures, Plan, Task, train
from divrec.training.page import page
from divrec.training.trunk import Told, Trunk


def run(task: Task, plan: Plan, out: Path, about: Figures, told: Told = lambda *_: None) -> Figures:
    """Train, write ``out`` with ``results.json`` and ``results.html``, and give those results.

    ``about`` says what is trained on and how; a killed training of the same ``about`` and ``plan`` is taken up. Raises
    ConfigError if ``out`` is there, or another training's work is.
    """
    if out.exists():
        raise ConfigError(f"--out: expected a directory that is not there yet, found {out}")
    partial = out.with_name(f"{out.name}.partial")
    asked = {**about, "plan": dataclasses.asdict(plan)}
    try:
        partial.mkdir(parents=True, exist_ok=True)
        with (partial / "lock").open("w") as lock:
            _alone(lock.fileno(), partial)
            _begin(partial / "about.json", asked)
            trained = train(task, plan, partial / "checkpoint.pt", told)
            trunk: Trunk = task.module["trunk"]
            results = {
                "task": task.name,
                **asked,
                "layers": trunk.layers,
                "frozen": trunk.frozen,
                "bfloat16": trunk.bfloat16,
                "data": task.data,
                "measure": task.measure,
                "epochs": trained.epochs,
                "best": trained.best,
            }
            made = partial / "model"
            shutil.rmtree(made, ignore_errors=True)
            trunk.save(made)
            (made / "results.json").write_text(json.dumps(results, indent=2) + "\n", "utf-8")
            (made / "results.html").write_text(page(results), "utf-8")
            made.rename(out)
        shutil.rmtree(partial)
    except OSError as error:
        raise ConfigError(f"--out: expected a directory that can be written at {out}: {error.strerror}") from None
    return results


def _alone(lock: int, partial: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigError(f"{partial}: expected nobody else at work on it, found another divrec train") from None


def _begin(told: Path, asked: Figures) -> None:
    """Say whose work this is, or check that it is that of the same call."""
    text = json.dumps(asked, indent=2, sort_keys=True)
    if told.exists() and told.read_text("utf-8") != text:
        raise ConfigError(
            f"{told.parent} was begun with other files or options: finish it with those, or delete it to begin anew"
        )
    told.write_text(text, "utf-8")
