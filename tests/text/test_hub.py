"""A model from the Hugging Face hub, as served by a small server on the loopback, and a hub that is not there."""

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"

LOCATE = """
import sys
from pathlib import Path
from divrec.errors import EncoderError
from divrec.text.locate import locate
try:
    print(locate(sys.argv[1], Path(sys.argv[2])).directory)
except EncoderError as error:
    print(error)
"""


@contextmanager
def served(handle: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            handle(self)

        def do_HEAD(self) -> None:
            handle(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def hub(directory: Path) -> Callable[[BaseHTTPRequestHandler], None]:
    """Serves ``directory`` as the model ``someone/tiny`` the way the hub does."""

    def handle(request: BaseHTTPRequestHandler) -> None:
        path, headers, status = request.path.split("?")[0], {}, 200
        name = path.rsplit("/", 1)[-1]
        if path.startswith("/api/models/someone/tiny/tree/"):
            body = json.dumps([])
        elif path.startswith("/api/models/someone/tiny"):
            files = [{"rfilename": file.name} for file in directory.iterdir()]
            body = json.dumps({"id": "someone/tiny", "sha": COMMIT, "siblings": files})
        elif path.startswith("/someone/tiny/resolve/") and (directory / name).is_file():
            content = (directory / name).read_bytes()
            headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha1(content).hexdigest()}"'}
            return answer(request, status, content, headers)
        else:
            body, status, headers = "", 404, {"X-Error-Code": "RepoNotFound"}
        return answer(request, status, body.encode(), headers)

    return handle


def answer(request: BaseHTTPRequestHandler, status: int, content: bytes, headers: dict[str, str]) -> None:
    request.send_response(status)
    for header, value in {**headers, "Content-Length": str(len(content))}.items():
        request.send_header(header, value)
    request.end_headers()
    if request.command == "GET":
        request.wfile.write(content)


def locate(model: str, home: Path, endpoint: str) -> tuple[str, float]:
    """What a process of its own found or said (the hub's client reads its settings once), and its seconds."""
    environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    environment.pop("HF_HUB_OFFLINE", None)
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", LOCATE, model, str(home / "divrec")],
        env={**environment, "HF_HOME": str(home / "hf"), "HF_ENDPOINT": endpoint},
        cwd=home,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == ""
    return done.stdout.strip(), time.monotonic() - started


def test_downloaded_once_then_from_the_cache(tiny_bert: Path, tmp_path: Path) -> None:
    with served(hub(tiny_bert)) as endpoint:
        found, _ = locate("someone/tiny", tmp_path, endpoint)
    assert {file.name for file in tiny_bert.iterdir()} == {file.name for file in Path(found).iterdir()}
    again, seconds = locate("someone/tiny", tmp_path, "http://127.0.0.1:9")
    assert again == found and seconds < 3


def test_model_that_the_hub_does_not_have(tiny_bert: Path, tmp_path: Path) -> None:
    with served(hub(tiny_bert)) as endpoint:
        said, _ = locate("someone/else", tmp_path, endpoint)
    assert "Hugging Face hub: no model someone/else" in said


@pytest.mark.parametrize("model", ["someone/tiny", "multilingual-e5-small"])
def test_a_silent_hub_holds_up_the_start_for_seconds_only(model: str, tmp_path: Path) -> None:
    cache = tmp_path / "divrec" / "models"
    cache.mkdir(parents=True)
    unpacked = Path("~/.cache/divrec/models").expanduser()
    for directory in unpacked.glob("multilingual-e5-small-*"):
        if directory.is_dir():  # unpacked by the other tests: not once more
            (cache / directory.name).symlink_to(directory)
    silent = threading.Event()
    with served(lambda _: silent.wait(20) and None) as endpoint:
        said, seconds = locate(model, tmp_path, endpoint)
        silent.set()
    assert seconds < 3 + 4
    assert said.startswith(str(cache)) if model == "multilingual-e5-small" else "no answer within 3 s" in said
