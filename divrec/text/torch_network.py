"""A BERT-like network run by torch."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from divrec.errors import EncoderError
from divrec.text.onednn import has_bfloat16, use_onednn
from divrec.text.sizes import Sizes

Tokens = NDArray[np.int64]


class TorchNetwork:
    """``bfloat16`` halves the precision of the linear layers' factors, not of their sums, where the processor can."""

    alone = False

    def __init__(self, directory: Path, *, device: str = "cpu", threads: int = 1, bfloat16: bool = False) -> None:
        if bfloat16 and (device != "cpu" or not has_bfloat16()):
            raise EncoderError(
                f"encoder.backend torch-bf16: expected the CPU and one that multiplies bfloat16 (AVX512-BF16), "
                f'got {device}, which does not; use "torch"'
            )
        self.model = load_model(directory).to(device)
        self.sizes = sizes_of(self.model)
        self._device, self._threads = device, threads
        if device == "cpu":
            use_onednn(self.model, bfloat16=bfloat16)

    def __call__(self, ids: Tokens, mask: Tokens) -> NDArray[np.float32]:
        """``float32[n, d]``, the mean of the last hidden states where ``mask[n, l]`` is 1, not 0."""
        if self._device == "cpu" and torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)  # kept per thread by OpenMP, and we are called from several
        with torch.inference_mode():
            mean = mean_state(self.model, *(torch.from_numpy(one).to(self._device) for one in (ids, mask)))
            result: NDArray[np.float32] = mean.cpu().numpy()
        return result


def mean_state(model: Any, ids: Any, mask: Any) -> Any:
    hidden = model(input_ids=ids, attention_mask=mask)[0].float()
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1)


def load_model(directory: Path) -> Any:
    """The transformers model in float32 for inference. Raises EncoderError, and whatever transformers does."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    model, report = transformers.AutoModel.from_pretrained(directory, local_files_only=True, output_loading_info=True)
    missing = sorted(key for key in report["missing_keys"] if "pooler" not in key)
    if missing:
        raise EncoderError(
            f"text model {directory}: the weights lack {len(missing)} tensors ({', '.join(missing[:3])}…), "
            f"which would stay random; use a complete model"
        )
    return model.float().eval()


def sizes_of(model: Any) -> Sizes:
    """Of its tokens; RoBERTa's positions begin after the padding piece."""
    config = model.config
    positions = getattr(config, "max_position_embeddings", None) or 1_000_000
    table = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    padding = getattr(table, "padding_idx", None)
    return Sizes(
        int(config.hidden_size),
        int(positions - (0 if padding is None else padding + 1)),
        int(model.get_input_embeddings().num_embeddings),
        int(getattr(config, "pad_token_id", None) or 0),
    )
