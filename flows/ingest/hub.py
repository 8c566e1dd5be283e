"""Configs of models from the Hugging Face hub; needs a network and the extra `hub`."""

import importlib
import logging
import os
import re
import socket
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from warehouse.errors import InputError, one_line

_PATIENCE_S = 5


def is_hub_name(name: str) -> bool:
    """Return whether a text can be the name of a model on the hub, e.g. `meta-llama/Llama-3.1-8B`."""
    return re.fullmatch(r"[\w.-]{1,96}/[\w.-]{1,96}", name, re.ASCII) is not None and ".." not in name


def download_config(name: str) -> bytes:
    """Return the config.json of a model on the hub.

    Raises
    ------
    InputError
        `huggingface_hub` is not installed, or the hub cannot be reached or has no such config.
    """
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        hub: Any = importlib.import_module("huggingface_hub")
        download = hub.hf_hub_download  # imports its dependencies, which set up its log
    except ImportError:
        raise InputError(
            f"{name}: no such file, and huggingface_hub, which would ask the hub for it, is not installed; "
            "`pip install 'rooflines[hub]'` or give the path of a config.json"
        ) from None
    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)  # it logs every retry
    try:
        if not urllib.request.getproxies():  # without a proxy: it would retry for half a minute
            place = urlsplit(hub.constants.ENDPOINT)
            port = place.port or (80 if place.scheme == "http" else 443)
            socket.create_connection((place.hostname or "", port), timeout=_PATIENCE_S).close()
        return Path(download(name, "config.json", etag_timeout=_PATIENCE_S)).read_bytes()
    except Exception as error:  # from the network, the library or the disk: they all mean the same here
        reason = one_line(error)[:200]
        raise InputError(
            f"{name}: no such file, and the hub gave no config ({type(error).__name__}: {reason}); "
            "give the path of a config.json"
        ) from None
