"""Names of models: where a config lies says what its model is called; ids and the names on charts follow."""

import os
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from flows.ingest.document import format_value
from warehouse.errors import InputError

# What a folder of a model holds, its config first; the others say that it is none of a decoder.
_CONFIGS = ("config.json", "adapter_config.json", "params.json", "model_index.json")
_CACHED = "models--"  # begins the folder of a model in the cache of the Hugging Face hub
_CONFIG = re.compile(r"config([ _-]*\(?\d+\)?)?", re.IGNORECASE)  # a browser numbers what it downloads again
_SUFFIX = re.compile(r"(.)[._-]config$", re.IGNORECASE)
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SIZE = re.compile(r"\w?\d[\w.]*")  # 7b, 8x7b, a2.7b, v0.3
_WORD = re.compile(r"([a-z]+)([\d.]*)")
_SPELT = {
    word.lower(): word
    for word in (
        "AFM", "AWQ", "BF", "BitNet", "BLOOM", "ChatGLM", "CodeLlama", "DBRX", "DeepSeek", "DPO", "EAGLE", "ERNIE",
        "EXAONE", "FP", "GGUF", "GLM", "GPT", "GPTQ", "InternLM", "INT", "InternVL", "KDA", "LFM", "LLaDA", "LLM",
        "LongCat", "MiMo", "MiniCPM", "MiniMax", "MLA", "MoE", "MPT", "MTP", "MXFP", "NeoX", "NVFP", "OCR", "OLMo",
        "OLMoE", "OPT", "OSS", "PLaMo", "QVQ", "QwQ", "RWKV", "SFT", "SmolLM", "SmolVLM", "StableLM", "StarCoder",
        "TinyLlama", "VL", "VLM", "xLSTM", "XL",
    )
}  # fmt: skip
_SPELT_WHOLE = {"gpt2": "GPT-2", "3n": "3n"}
# last words of a name that do not change the shapes of a model: what it was tuned for, its dtype, its quantization
_STORED_AS = re.compile(
    r"[-.](instruct|it|chat|hf|base|\d{4}|fp16|f16|bf16|fp8(-(dynamic|block|kv|tensor))?|fp4|nvfp4|mxfp4|awq|gptq|int4|int8|w4a16"
    r"|w8a8|w4a16-g128|quantized|i?q\d(_[a-z0-9]+)*|gguf)$"
)
_INCOMING = ("incoming", "accepted", "rejected")


def make_id(name: str) -> str:
    """Return the last part of a name as an id: `meta-llama/Llama-3.1-8B` as `llama-3.1-8b`."""
    last = name.rstrip("/").rpartition("/")[2].lower()
    return re.sub(r"[^a-z0-9._-]+", "-", last).strip("-._")[:64]


def make_short_name(model_id: str) -> str:
    """Return the name of a model on charts: `Llama 7B` for `llama-7b`."""
    return " ".join(map(_spell, filter(None, model_id.split("-"))))


def _spell(word: str) -> str:
    if word in _SPELT_WHOLE:
        return _SPELT_WHOLE[word]
    if _SIZE.fullmatch(word):
        return word.upper().replace("X", "x")
    parts = _WORD.fullmatch(word)
    return _SPELT[parts[1]] + parts[2] if parts and parts[1] in _SPELT else word.capitalize()


def find_config(folder: Path) -> Path | None:
    """Return the config of the model that a folder holds, also of a folder of the Hugging Face cache; None if none."""
    paths = (place / name for place in (folder, *_list_snapshots(folder)) for name in _CONFIGS)
    try:
        return next((path for path in paths if path.is_file()), None)
    except OSError:  # a folder that cannot be read
        return None


def find_cached_name(path: Path) -> str | None:
    """Return the name on the hub of a file in the Hugging Face cache, e.g. `org/name`; None of any other file."""
    parts = _make_absolute(path).parts
    for folder, below in pairwise(parts):
        if folder.startswith(_CACHED) and below in ("snapshots", "blobs"):
            return folder.removeprefix(_CACHED).replace("--", "/")
    return None


def name_model(path: Path) -> str:
    """Return the name of the model whose config a file is: that of its folder, or of the file itself.

    What a config was loaded from, its `_name_or_path`, is no name: in a fine-tune it is the base.

    Raises
    ------
    InputError
        Neither the file nor its folder is named after a model.
    """
    if not _CONFIG.fullmatch(path.stem) and not _COMMIT.fullmatch(path.name):
        return _SUFFIX.sub(r"\1", path.stem).rpartition("--")[2]
    if cached := find_cached_name(path):
        return cached
    folder = _make_absolute(path).parent
    is_for_all = folder.name in _INCOMING or (folder.parent.name, folder.name) == ("incoming", "model")
    if is_for_all or not folder.name or _COMMIT.fullmatch(folder.name):
        example = f"my-model{path.suffix or '.json'}"
        what = f"{path}: folder = {format_value(folder.name)}: does not name a model"
        raise InputError(f"{what}; expected a folder named after it, or the file renamed, e.g. to {example}")
    return folder.name.rpartition("--")[2]


def _make_absolute(path: Path) -> Path:
    """Return an absolute path without dots; links stay, because their names may be those of models."""
    return Path(os.path.normpath(path.absolute()))


def _list_snapshots(folder: Path) -> list[Path]:
    """Return the snapshots in a folder of the Hugging Face cache: the one of `main` first, then the newest."""
    try:
        snapshots = [place for place in (folder / "snapshots").iterdir() if place.is_dir()]
        main = folder / "refs" / "main"
        chosen = main.read_text("utf-8").strip() if main.is_file() else ""
        return sorted(snapshots, key=lambda place: (place.name == chosen, place.stat().st_mtime), reverse=True)
    except (OSError, ValueError):
        return []


def find_catalog_model(name: str, ids: Sequence[str]) -> str | None:
    """Return the id of the catalog's model that a name on the hub, or of a file, means; None if there is none.

    Words at the end that say how the weights were trained on or stored are no part of an architecture: the shapes of
    `meta-llama/Llama-3.1-8B-Instruct` are those of `llama-3.1-8b`.

    Parameters
    ----------
    name
        The name, e.g. `nvidia/Llama-3.1-8B-Instruct-FP8` or `Qwen3-32B-Q4_K_M.gguf`.
    ids
        Ids of the catalog's models.
    """
    found = make_id(re.sub(r"\.gguf$", "", name.rstrip("/"), flags=re.IGNORECASE))
    while found:
        for each in (found, found.removeprefix("meta-")):
            if each in ids:
                return each
        shorter = _STORED_AS.sub("", found)
        if shorter == found:
            return None
        found = shorter
    return None
