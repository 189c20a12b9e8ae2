"""oneDNN's kernels for the linear layers, where nearly all the time of BERT goes. Imports torch: import it lazily.

torch multiplies 32-bit floats with MKL, which uses half of the vector width that a processor not made by Intel has.
oneDNN, in the same wheel, uses all of it, with weights laid out once for it: the same numbers but for rounding.
"""

import platform
from typing import Any

import torch
from torch import nn


class OneDnnLinear(nn.Module):  # type: ignore[misc]  # mypy does not follow torch
    """What ``linear`` computes, ``[..., in] -> [..., out]`` in float32 on the CPU, for inference only."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach())
        self.bias = None if linear.bias is None else linear.bias.detach()

    def forward(self, values: Any) -> Any:
        return torch.ops.mkldnn._linear_pointwise(values, self.weight, self.bias, "none", [], "")


def use_onednn(model: nn.Module) -> bool:
    """Replace the linear layers within ``model``, in place; False, and nothing is changed, where it is not to be had.

    ``model`` is in float32 on the CPU. The operators are those that torch's own compiler emits, but no public ones.
    """
    there = hasattr(torch.ops.mkldnn, "_linear_pointwise") and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
    if not (there and torch.backends.mkldnn.is_available() and platform.machine() in ("x86_64", "AMD64")):
        return False
    with torch.inference_mode():
        _replace(model)
    return True


def _replace(module: nn.Module) -> None:
    for name, child in module.named_children():
        if type(child) is nn.Linear:  # a subclass means something of its own
            setattr(module, name, OneDnnLinear(child))
        else:
            _replace(child)
