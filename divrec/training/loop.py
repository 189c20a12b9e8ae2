"""The loop that all trainings share. Imports torch.

What is drawn in an epoch is a function of seed and epoch, and the learning rate one of the step: so a training that was
killed and goes on from its last checkpoint ends with the very weights of one that was not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from divrec.errors import ConfigError
from divrec.training.schedule import factor
from divrec.training.trunk import Told

DECAY, CLIP = 0.01, 1.0
HEAD = 10.0
"""Times the learning rate: what was not trained before must learn faster than what was."""

Figures = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    epochs: int = 5
    rate: float = 5e-5
    """The highest learning rate."""
    patience: int = 2
    """Epochs without a better validation after which it ends."""
    seed: int = 0


class Task(Protocol):
    """What is learned. ``module`` holds all that is, the trunk under the name ``trunk``."""

    name: str
    module: nn.ModuleDict
    data: Figures
    """What it learns from, in numbers."""
    measure: str
    """The figure of ``validate`` that says which epoch was the best."""
    higher: bool
    """More of it is better."""

    def batches(self, random: np.random.Generator) -> Sequence[Any]:
        """What an epoch is made of: never more than at the first call."""
        ...

    def loss(self, batch: Any, random: np.random.Generator) -> Any: ...

    def validate(self) -> Figures: ...


@dataclass(frozen=True)
class Trained:
    epochs: list[Figures]
    """``epoch``, the mean ``loss`` and what ``validate`` gave; the first, epoch 0, is from before."""
    best: int
    """The epoch whose weights the module has now."""


def train(task: Task, plan: Plan, checkpoint: Path, told: Told = lambda *_: None) -> Trained:
    """Learn, keeping ``checkpoint`` after every epoch; if it is there, go on from it. Afterwards ``task.module`` is as
    in its best epoch. Raises ConfigError if a loss is not finite.

    AdamW with a linear warm-up and decay, gradients clipped to length 1.
    """
    module = task.module
    named = {name: p for name, p in module.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(_groups(named, plan.rate), lr=plan.rate)
    rates = [group["lr"] for group in optimizer.param_groups]
    steps = len(task.batches(np.random.default_rng([plan.seed, 0])))
    epochs: list[Figures] = []
    best, best_weights = 0, {}
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
        _put(named, state["weights"])
        optimizer.load_state_dict(state["optimizer"])
        epochs, best, best_weights = state["epochs"], state["best"], state["best_weights"]
    else:
        told("validating", 0, 1)
        epochs.append({"epoch": 0, "loss": None, **task.validate()})
        best_weights = _taken(named)
    sign = 1.0 if task.higher else -1.0
    while len(epochs) <= plan.epochs and len(epochs) - 1 - best < plan.patience:
        epoch = len(epochs)
        random = np.random.default_rng([plan.seed, epoch])
        torch.manual_seed(int(random.integers(2**62)))
        module.train()
        total, done = 0.0, 0
        for number, batch in enumerate(task.batches(random)):
            scale = factor((epoch - 1) * steps + number, plan.epochs * steps)
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * scale
            loss = task.loss(batch, random)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(named.values(), CLIP)
            optimizer.step()
            total, done = total + float(loss.detach()), number + 1
            told(f"epoch {epoch}, loss {total / done:.4f}", done, steps)
        if not np.isfinite(total):
            raise ConfigError(f"training: the loss of epoch {epoch} is {total}: use a lower --rate than {plan.rate:g}")
        module.eval()
        epochs.append({"epoch": epoch, "loss": total / done, **task.validate()})
        if sign * epochs[-1][task.measure] > sign * epochs[best][task.measure]:
            best, best_weights = epoch, _taken(named)
        state = {"weights": _taken(named), "optimizer": optimizer.state_dict(), "epochs": epochs, "best": best}
        written = checkpoint.with_name(checkpoint.name + ".new")
        torch.save({**state, "best_weights": best_weights}, written)
        written.replace(checkpoint)
    _put(named, best_weights)
    module.eval()
    return Trained(epochs, best)


def _groups(named: dict[str, nn.Parameter], rate: float) -> list[dict[str, Any]]:
    """Biases and norms do not decay; what stands on the trunk learns faster."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in named.items():
        groups.setdefault((name.startswith("trunk."), parameter.ndim > 1), []).append(parameter)
    return [
        {"params": parameters, "lr": rate * (1.0 if trunk else HEAD), "weight_decay": DECAY if decays else 0.0}
        for (trunk, decays), parameters in groups.items()
    ]


def _taken(named: dict[str, nn.Parameter]) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().cpu().clone() for name, parameter in named.items()}


def _put(named: dict[str, nn.Parameter], weights: dict[str, torch.Tensor]) -> None:
    with torch.no_grad():
        for name, parameter in named.items():
            parameter.copy_(weights[name])
