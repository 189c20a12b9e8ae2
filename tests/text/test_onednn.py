"""oneDNN's linear layers compute what torch's own do."""

import numpy as np
import pytest
import torch
from torch import nn

from divrec.text.encoder import Encoder
from divrec.text.onednn import OneDnnLinear, use_onednn
from divrec.text.torch_network import TorchNetwork
from divrec.text.transformer import TransformerEncoder

if not use_onednn(nn.Sequential()):
    pytest.skip("this torch has no oneDNN on this processor", allow_module_level=True)

TEXTS = ["", "Toy Story (1995). Animation, Comedy", "电池可以用两天", "the battery lasts two days. " * 40]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 7), (3, 5, 7), (0, 7)])
def test_a_layer_keeps_its_result(bias: bool, shape: tuple[int, ...]) -> None:
    linear, values = nn.Linear(7, 4, bias=bias), torch.randn(shape)
    with torch.inference_mode():
        torch.testing.assert_close(OneDnnLinear(linear)(values), linear(values))


def test_nested_layers_are_replaced_and_others_are_not() -> None:
    class Own(nn.Linear):
        pass

    model = nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.LayerNorm(3), nn.Linear(3, 2)), Own(2, 2))
    values = torch.randn(5, 3)
    with torch.inference_mode():
        before = model(values)
        use_onednn(model)
        torch.testing.assert_close(model(values), before)
    assert [type(m).__name__ for m in model.modules() if not list(m.children())] == [
        "OneDnnLinear",
        "LayerNorm",
        "OneDnnLinear",
        "Own",
    ]


def test_the_encoder_gives_what_transformers_gives(encoder: Encoder) -> None:
    """Through padded batches as well: the vectors of transformers, one text at a time."""
    from transformers import AutoModel

    assert isinstance(encoder, TransformerEncoder) and isinstance(encoder.network, TorchNetwork)
    assert any(isinstance(module, OneDnnLinear) for module in encoder.network.model.modules())
    plain = AutoModel.from_pretrained(encoder.network.model.name_or_path, local_files_only=True).eval()
    vectors = encoder.encode(TEXTS)
    for text, vector in zip(TEXTS, vectors, strict=True):
        ids = encoder._tokens([text])[0]
        with torch.inference_mode():
            expected = plain(input_ids=torch.tensor([ids]))[0][0].mean(0).numpy()
        assert float(vector @ expected / np.linalg.norm(expected)) > 0.99999
