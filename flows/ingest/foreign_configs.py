"""Files that look like the config.json of a decoder and are none: what each is, and what to give instead."""

import json
import re
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from flows.ingest.document import format_value
from flows.ingest.limits import MAX_BYTES

_OF_MODEL = "give the config.json of the same model"
_OR_OPS = "expected a decoder; give the config.json of one, or these ops with `rooflines ingest ops`"
_HEAD_BYTES = 65_536


class _Form(NamedTuple):
    """A form of file, recognized by keys that it has all of."""

    keys: frozenset[str]
    what: str
    instead: str
    names: str = ""  # the key whose value says which model to give


def _form(keys: str, what: str, instead: str, names: str = "") -> _Form:
    return _Form(frozenset(keys.split()), what, instead, names)


# the first key is quoted with its value
_FORMS = {
    "peft_type": _form("peft_type", "an adapter", "give the config.json of its base model", "base_model_name_or_path"),
    "_class_name": _form("_class_name", "a part of a diffusion model", _OR_OPS),
    "weight_map": _form("weight_map", "the index of a checkpoint", _OF_MODEL),
    "model_config": _form("model_config conv_template", "a config of MLC", _OF_MODEL),
    "pretrained_config": _form("pretrained_config build_config", "a config of a TensorRT-LLM engine", _OF_MODEL),
    "__metadata__": _form("__metadata__", "the header of a safetensors file", _OF_MODEL),
}
# of files that name neither a class nor a model type
_PLAIN_FORMS = {
    "dim": _form("dim n_layers", "the params.json of Mistral's or Meta's own format", f"{_OF_MODEL} in transformers'"),
    "added_tokens_decoder": _form("added_tokens_decoder", "a tokenizer_config.json", _OF_MODEL),
    "tokenizer_class": _form("tokenizer_class", "a tokenizer_config.json", _OF_MODEL),
    "chat_template": _form("chat_template", "a tokenizer_config.json", _OF_MODEL),
    "added_tokens": _form("added_tokens", "a tokenizer.json", _OF_MODEL),
    "image_processor_type": _form("image_processor_type", "a preprocessor_config.json", _OF_MODEL),
    "feature_extractor_type": _form("feature_extractor_type", "a preprocessor_config.json", _OF_MODEL),
    "processor_class": _form("processor_class", "a processor_config.json", _OF_MODEL),
    "quantization": _form("quantization producer", "a hf_quant_config.json", _OF_MODEL),
    "quant_method": _form("quant_method", "a description of a quantization", _OF_MODEL),
    "bits": _form("bits group_size", "a description of a quantization", _OF_MODEL),
    "w_bit": _form("w_bit", "a description of a quantization", _OF_MODEL),
    "architecture": _form("architecture", "a config of another library than transformers", _OF_MODEL),
    "word_embedding_dimension": _form("word_embedding_dimension", "a config of sentence-transformers", _OR_OPS),
    "log_history": _form("log_history", "the trainer_state.json of a training", _OF_MODEL),
    "_from_model_config": _form("_from_model_config", "a generation_config.json", _OF_MODEL),
    "do_sample": _form("do_sample", "a generation_config.json", _OF_MODEL),
    "max_new_tokens": _form("max_new_tokens", "a generation_config.json", _OF_MODEL),
    "eos_token_id": _form("eos_token_id transformers_version", "a generation_config.json", _OF_MODEL),
    "eos_token": _form("eos_token", "a special_tokens_map.json", _OF_MODEL),
}
# families of transformers, in lowercase without dashes and underscores
_ENCODER_DECODERS = re.compile(
    "bart|bigbirdpegasus|blenderbot|blenderbotsmall|encoderdecoder|florence2|fsmt|led|longt5|m2m100|marian|mbart|"
    "moonshine|mt5|mvp|nllbmoe|pegasus|pegasusx|plbart|prophetnet|seamlessm4t|seamlessm4tv2|speechencoderdecoder|"
    "speecht5|speech2text|switchtransformers|t5|t5gemma|t5gemma2|udop|umt5|visionencoderdecoder|whisper"
)
_ENCODERS = re.compile(
    "albert|align|audiospectrogramtransformer|bert|bigbird|camembert|canine|clap|clip|clipseg|cliptext|"
    "cliptextmodel|clipvision|clipvisionmodel|convbert|convnext|data2vecaudio|data2vectext|data2vecvision|"
    "deberta|debertav2|deit|detr|dinov2|dinov3vit|distilbert|electra|ernie|erniem|esm|eurobert|flaubert|fnet|"
    "funnel|hubert|ibert|jinabert|layoutlm|layoutlmv2|layoutlmv3|lilt|longformer|luke|megatronbert|mobilebert|"
    "modernbert|mpnet|mra|nezha|nomicbert|nystromformer|qdqbert|rembert|roberta|robertaprelayernorm|roformer|"
    "siglip|siglip2|siglipvisionmodel|splinter|squeezebert|swin|vit|wav2vec2|wavlm|xlm|xlmroberta|xlmrobertaxl|"
    "xmod|yolos|yoso"
)
# ends of class names, whatever the family
_HEADS = {
    "ForMaskedLM": "an encoder",
    "ForPreTraining": "an encoder",
    "ForMaskedImageModeling": "an encoder",
    "EncoderModel": "an encoder",
    "SequenceClassification": "a classifier or reward model",
    "TokenClassification": "a classifier",
    "ImageClassification": "a classifier",
    "AudioClassification": "a classifier",
    "VideoClassification": "a classifier",
    "QuestionAnswering": "a classifier",
    "MultipleChoice": "a classifier",
    "RewardModel": "a reward model",
    "ForCTC": "an encoder of speech",
    "ForSpeechSeq2Seq": "an encoder-decoder",
    "ForObjectDetection": "a model of images",
    "Segmentation": "a model of images",
    "ForDepthEstimation": "a model of images",
}
_TO_DECODER = "expected a decoder with an lm_head; give the config.json of the model that it was made from"
_CLASS_END = re.compile(r"(For[A-Z]\w*|LMHeadModel|EncoderModel|TextModel|VisionModel|Model)$")
# first bytes -> what such a file is
_BINARIES = {
    b"GGUF": "weights in GGUF",
    b"\x89HDF": "weights in HDF5",
    b"PK\x03\x04": "a zip file, e.g. weights of PyTorch",
    b"\x80\x02": "a pickle, e.g. weights of PyTorch",
    b"\x80\x04": "a pickle",
    b"\x1f\x8b": "a file compressed by gzip",
    b"version https://git-lfs": "a pointer of Git LFS, not the file itself",
    b"<!DOCTYPE": "a web page",
    b"<!doctype": "a web page",
    b"<html": "a web page",
}
_SUFFIXES = (".json", ".gguf", ".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".h5")  # of models
_INSTEAD_OF_BINARY = "expected JSON; give the config.json of the model"


def describe_foreign(content: object, known: Container[str] = ()) -> str | None:
    """Return what parsed JSON is and what to give instead, in one line; None if it may be the config of a decoder.

    Parameters
    ----------
    content
        The content of a file.
    known
        Classes that are read, whatever their names look like.
    """
    if not isinstance(content, dict):
        return f"{_name_type(content)}; expected the config.json of a model, a table of fields"
    for form in _FORMS.values():
        if form.keys <= content.keys():
            return _describe_form(content, form)
    named = _find_class(content)
    if named in known:
        return None
    model_type = content.get("model_type")
    if named or isinstance(model_type, str):
        return _describe_class(content, named, model_type if isinstance(model_type, str) else "")
    if any(content.get(key) is not None for key in ("architectures", "model_type")):
        return None  # of a wrong type, which the reader says
    return describe_keys(content) or (
        "architectures and model_type: missing; expected the config.json of a decoder, as it lies on the "
        "Hugging Face hub"
    )


def describe_keys(content: Mapping[str, Any]) -> str | None:
    """Return what a file that names no class is by its keys, and what to give instead; None if that is not known."""
    forms = {**_FORMS, **_PLAIN_FORMS}
    found = next((form for form in forms.values() if form.keys <= content.keys()), None)
    return _describe_form(content, found) if found else None


def describe_start(path: Path) -> str | None:
    """Return what a file is by its first bytes, and what to give instead; None if it may be a config, or is gone.

    A file that is too large for a config is known by the keys at its beginning.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except (OSError, ValueError):
        return None
    for start, what in _BINARIES.items():
        if head.lstrip().startswith(start):
            return f"{what}; {_INSTEAD_OF_BINARY}"
    if head[8:10] == b'{"' and head[4:8] == bytes(4):
        return f"weights in safetensors; {_INSTEAD_OF_BINARY}"
    if not head.strip():
        return f"an empty file; {_INSTEAD_OF_BINARY}"
    if len(head) < _HEAD_BYTES:
        return None
    text = head.decode("utf-8", "replace")
    keys = dict.fromkeys(re.findall(r'"(\w+)"\s*:', text), ...)
    return None if keys.keys() & {"architectures", "model_type"} else describe_keys(keys)


def describe_file(path: Path) -> str | None:
    """Return what a file of no known kind is, and what to give instead; None if that is not known."""
    if path.suffix.lower() not in _SUFFIXES:
        return None
    if described := describe_start(path):
        return described
    try:
        content = json.loads(path.read_bytes()) if path.stat().st_size <= MAX_BYTES else None
    except (OSError, ValueError, RecursionError):
        return None
    return describe_keys(content) if isinstance(content, dict) else None


def _describe_form(content: Mapping[str, Any], form: _Form) -> str:
    key = next(key for key in content if key in form.keys)
    value = content[key]
    quoted = f"{key} = {format_value(value)}" if isinstance(value, str | int | float) else key
    name = content.get(form.names)
    model = f", {format_value(name)}" if isinstance(name, str) and name else ""
    return f"{quoted}: {form.what}; {form.instead}{model}"


def _describe_class(content: Mapping[str, Any], named: str, model_type: str) -> str | None:
    quoted = f"architectures = {format_value([named])}" if named else f"model_type = {format_value(model_type)}"
    families = {_normalize(_CLASS_END.sub("", named))} if named else set()
    if not named.endswith(("CausalLM", "LMHeadModel")):
        families.add(_normalize(model_type))
    head = next((what for end, what in _HEADS.items() if named.endswith(end)), None)
    if head:
        return f"{quoted}: {head}; {_OR_OPS if head == 'an encoder' else _TO_DECODER}"
    if content.get("is_encoder_decoder") is True or (
        any(map(_ENCODER_DECODERS.fullmatch, families)) and not named.endswith("CausalLM")
    ):
        return f"{quoted}: an encoder-decoder; {_OR_OPS}"
    if any(map(_ENCODERS.fullmatch, families)) and content.get("is_decoder") is not True:
        return f"{quoted}: an encoder; {_OR_OPS}"
    if named.endswith("Model") and not named.endswith("LMHeadModel") and not _is_mapped_to_decoder(content):
        return f"{quoted}: a model without an lm_head, as models of embeddings are; {_TO_DECODER}"
    return None


def _find_class(content: Mapping[str, Any]) -> str:
    """Return the first class that a config names, or nothing."""
    named = content.get("architectures")
    first = named[0] if isinstance(named, list) and named else None
    return first if isinstance(first, str) else ""


def _is_mapped_to_decoder(content: Mapping[str, Any]) -> bool:
    """Return whether the config's own code, like that of ChatGLM, is loaded as a decoder."""
    return isinstance(mapped := content.get("auto_map"), dict) and "AutoModelForCausalLM" in mapped


def _normalize(family: str) -> str:
    return re.sub(r"[-_]", "", family).lower()


def _name_type(content: object) -> str:
    if content is None or isinstance(content, bool):
        return format_value(content)
    if isinstance(content, list):
        return "a list"
    return f"{'a text' if isinstance(content, str) else 'a number'}, {format_value(content)}"
