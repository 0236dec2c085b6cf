"""A release by its name on the hub, from a server that answers as the hub does."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import constants

from models.errors import ReleaseError
from models.predictor import Predictor
from models.registry import find_release
from models.release import file_hash
from tests.models.tiny import make_release

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(SimpleHTTPRequestHandler):
    """`/org/model/resolve/REVISION/FILE` from a folder, with the headers of the hub."""

    asked: list[str]

    def translate_path(self, path: str) -> str:
        _, organisation, model, _, _, file = path.split("/")
        type(self).asked.append(file)
        return str(Path(self.directory) / organisation / model / file)

    def end_headers(self) -> None:
        path = Path(self.translate_path(self.path))
        if path.is_file():
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{file_hash(path)}"')
        else:
            self.send_header("X-Error-Code", "EntryNotFound")
        super().end_headers()

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder that is served; the client is pointed at it, with an empty cache."""
    served = tmp_path / "served"
    Hub.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Hub, directory=str(served)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, address)
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    yield served
    server.shutdown()
    server.server_close()


def test_what_the_manifest_names_is_fetched_and_loads(hub: Path) -> None:
    stored = make_release(hub / "org" / "model")
    (stored / "pytorch_model.bin").write_bytes(b"a pickle, say")
    found = find_release("org/model")
    assert Predictor.load(found, "cpu").name.startswith("tiny@")
    assert found.name == COMMIT
    assert "pytorch_model.bin" not in Hub.asked
    Hub.asked.clear()
    assert find_release("org/model@main") == found


def test_an_altered_file_on_the_hub_is_refused(hub: Path) -> None:
    stored = make_release(hub / "org" / "model")
    with (stored / "model.safetensors").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ReleaseError, match="does not match its sha256"):
        find_release("org/model")


def test_another_kind_of_repository_is_told(hub: Path) -> None:
    (hub / "org" / "model").mkdir(parents=True)
    with pytest.raises(ReleaseError, match="org/model on the hub is no Weathervane release"):
        find_release("org/model")
