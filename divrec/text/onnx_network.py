"""A BERT-like network run by ONNX Runtime (the extra ``onnx``), exported from torch and quantised on first use.

What runs afterwards needs neither torch nor transformers, and far less memory.
"""

import hashlib
import importlib.util
import logging
import warnings
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from divrec.errors import EncoderError
from divrec.text.made_once import made_once
from divrec.text.sizes import Sizes

LAYOUT = 1
"""Of what is written here: a change makes a new directory."""
NEEDED = ("onnxruntime", "onnx", "onnxscript")


class OnnxNetwork:
    """``int8``: weights of the linear layers as 8-bit integers with a scale per channel, their inputs with one a call.

    That one is the greatest number in all the texts of the call, so each text is a call of its own: its vector must not
    depend on those beside it, and small calls are no slower here. Below ``cache_dir`` are the exported files, by what
    the model's own files are.
    """

    def __init__(self, directory: Path, cache_dir: Path, *, threads: int = 1, int8: bool = False) -> None:
        if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
            raise EncoderError(
                f"encoder.backend onnx: expected the packages {', '.join(NEEDED)}, found no {', '.join(missing)}; "
                f"install divrec[onnx]"
            )
        import onnxruntime

        parent = cache_dir / "onnx"
        kept = parent / f"{_files(directory)}-{'int8' if int8 else 'fp32'}-{LAYOUT}"
        made_once(
            kept,
            lambda partial: _quantised(directory, partial) if int8 else _exported(directory, partial),
            f"exporting the text model in {directory}",
        )
        self.alone = int8
        self.sizes = Sizes(*msgspec.json.decode((kept / "sizes.json").read_bytes()))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting is no work
        self._session = onnxruntime.InferenceSession(kept / "model.onnx", options, providers=["CPUExecutionProvider"])

    def __call__(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        """``float32[n, d]``, the mean of the last hidden states where ``mask[n, l]`` is 1, not 0."""
        result: NDArray[np.float32] = self._session.run(None, {"ids": ids, "mask": mask})[0]
        return result


def _files(directory: Path) -> str:
    """Tells the files of one model from those of another, without reading them."""
    stands = [(path.name, path.stat()) for path in sorted(directory.iterdir()) if path.is_file()]
    told = [str(directory.resolve()), *((name, stat.st_size, stat.st_mtime_ns) for name, stat in stands)]
    return hashlib.blake2b(repr(told).encode(), digest_size=8).hexdigest()


def _exported(directory: Path, target: Path) -> None:
    import torch

    from divrec.text.torch_network import load_model, mean_state, sizes_of

    class Mean(torch.nn.Module):  # type: ignore[misc]  # mypy does not follow torch
        def __init__(self, model: Any) -> None:
            super().__init__()
            self.model = model

        def forward(self, ids: Any, mask: Any) -> Any:
            return mean_state(self.model, ids, mask)

    target.mkdir(parents=True)
    model = load_model(directory)
    ids, mask = (torch.ones(2, 8, dtype=torch.int64) for _ in range(2))  # one tensor for both would be one input
    shape = {0: torch.export.Dim("texts"), 1: torch.export.Dim("tokens")}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Mean(model).eval(),
            (ids, mask),
            target / "model.onnx",
            input_names=["ids", "mask"],
            output_names=["mean"],
            dynamic_shapes=(shape, shape),
            dynamo=True,
            external_data=True,
            verbose=False,
        )
    (target / "sizes.json").write_bytes(msgspec.json.encode(sizes_of(model)))


def _quantised(directory: Path, target: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    whole = target / "whole"
    _exported(directory, whole)
    quantize_dynamic(
        whole / "model.onnx",
        target / "model.onnx",
        op_types_to_quantize=["MatMul", "Gemm"],
        weight_type=QuantType.QInt8,
        per_channel=True,
    )
    (whole / "sizes.json").rename(target / "sizes.json")
    for file in whole.iterdir():
        file.unlink()
    whole.rmdir()
