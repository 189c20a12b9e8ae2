"""A model directory for tests that need a real text model and not its meaning."""

from pathlib import Path

WORDS = "the battery lasts two days and charges quickly 电 池 可 以 用 两 天 a b c d e f".split()  # noqa: SIM905


def save_random_bert(directory: Path, seed: int, hidden: int = 32) -> None:
    """A BERT of 2 layers with random weights and a vocab.txt, as a model directory."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(seed)
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=hidden,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=24,
    )
    BertModel(config).save_pretrained(directory)
    (directory / "vocab.txt").write_text("\n".join(pieces) + "\n", "utf-8")
