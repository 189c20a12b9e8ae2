"""oneDNN's kernels for the linear layers, where nearly all the time of BERT goes. Imports torch: import it lazily.

torch multiplies 32-bit floats with MKL, which uses half of the vector width that a processor not made by Intel has.
oneDNN, in the same wheel, uses all of it, with weights laid out once for it: the same numbers but for rounding.
"""

import platform
from typing import Any

import torch
from torch import nn


class OneDnnLinear(nn.Module):  # type: ignore[misc]  # mypy does not follow torch
    """What ``linear`` computes, ``[..., in] -> [..., out]`` in float32 on the CPU, for inference only.

    ``kind`` float32 or bfloat16 is that of the factors; sums are float32, and so is what goes in and comes out.
    """

    def __init__(self, linear: nn.Linear, kind: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach().to(kind))
        self.bias = None if linear.bias is None else linear.bias.detach().to(kind)
        self._kind = kind

    def forward(self, values: Any) -> Any:
        product = torch.ops.mkldnn._linear_pointwise(values.to(self._kind), self.weight, self.bias, "none", [], "")
        return product.to(values.dtype)


def has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 in one step; where it does not, that is slower than float32."""
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return _there() and supported is not None and bool(supported())


def use_onednn(model: nn.Module, *, bfloat16: bool = False) -> bool:
    """Replace the linear layers within ``model``, in place; False, and nothing is changed, where it is not to be had.

    ``model`` is in float32 on the CPU. The operators are those that torch's own compiler emits, but no public ones.
    """
    if not _there():
        return False
    with torch.inference_mode():
        _replace(model, torch.bfloat16 if bfloat16 else torch.float32)
    return True


def _there() -> bool:
    operators = hasattr(torch.ops.mkldnn, "_linear_pointwise") and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
    return operators and torch.backends.mkldnn.is_available() and platform.machine() in ("x86_64", "AMD64")


def _replace(module: nn.Module, kind: torch.dtype) -> None:
    for name, child in module.named_children():
        if type(child) is nn.Linear:  # a subclass means something of its own
            setattr(module, name, OneDnnLinear(child, kind))
        else:
            _replace(child, kind)
