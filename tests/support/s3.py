"""A server on this machine that speaks as S3 does."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from warehouse.engine.extensions import explain_missing_extension


@contextmanager
def serve_s3(*buckets: str) -> Iterator[str]:
    """Start a server with these buckets, with its user in the environment; give its address."""
    if reason := explain_missing_extension("httpfs", "s3"):
        pytest.skip(reason)
    pytest.importorskip("obstore", reason="the extra s3 is not installed")
    pytest.importorskip("moto", reason="no server that speaks as S3 does is installed")
    import httpx  # noqa: PLC0415
    from moto.server import ThreadedMotoServer  # noqa: PLC0415

    serving = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    serving.start()
    host, port = serving.get_host_and_port()
    address = f"http://{host}:{port}"
    variables = {"ACCESS_KEY_ID": "me", "SECRET_ACCESS_KEY": "o'hara", "REGION": "us-east-1", "ENDPOINT_URL": address}
    try:
        with pytest.MonkeyPatch.context() as patched:
            for name, value in variables.items():
                patched.setenv(f"AWS_{name}", value)
            for name in buckets:
                assert httpx.put(f"{address}/{name}").is_success
            yield address
    finally:
        serving.stop()
