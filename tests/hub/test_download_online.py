"""The real client of the hub against a small hub on this machine."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "config.json": b"{}",
    "tokenizer.json": b"{}",
    "modeling_custom.py": b"raise SystemExit",
    "pytorch_model.bin": b"pickle",
}
REPOSITORIES = {
    "lab/model": FILES | {"model.safetensors": b"weights"},
    "lab/pickled": FILES,
    "lab/bare": {"README.md": b"# bare", "modeling_custom.py": b"raise SystemExit", "our-1b.pt": b"pickle"},
    "lab/several": {"README.md": b"# several", "small/clip.bin": b"small", "large/clip.pth": b"large"},
    "lab/empty": {"README.md": b"# empty"},
}
ERRORS = {
    "lab/gated": (403, "GatedRepo"),
    "lab/absent": (404, "RepoNotFound"),
}


class SmallHub(BaseHTTPRequestHandler):
    """Answers for a few repositories, whose only branch is ``main``."""

    def do_GET(self):
        self.answer(with_body=True)

    def do_HEAD(self):
        self.answer(with_body=False)

    def answer(self, *, with_body):
        path = self.path.partition("?")[0].strip("/")
        if path.startswith("api/models/"):
            return self.answer_api(*path.removeprefix("api/models/").split("/"))
        before, _, name = path.partition(f"/resolve/{COMMIT}/")
        if before not in REPOSITORIES:
            return self.refuse(404, None)
        self.server.fetched.add(name)
        content = REPOSITORIES[before][name]
        return self.send(200, content if with_body else b"", size=len(content), etag=f'"{name}"')

    def answer_api(self, owner, name, *rest):
        repository = f"{owner}/{name}"
        if repository in ERRORS:
            return self.refuse(*ERRORS[repository])
        files = REPOSITORIES[repository]
        if rest[:1] == ("tree",):
            tree = [{"type": "file", "path": name, "size": len(files[name]), "oid": name} for name in files]
            return self.send(200, json.dumps(tree).encode())
        if rest[:1] == ("revision",) and rest[1] not in ("main", COMMIT):
            return self.refuse(404, "RevisionNotFound")
        info = {"id": repository, "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]}
        return self.send(200, json.dumps(info).encode())

    def refuse(self, status, code):
        self.send(status, b"{}", code=code)

    def send(self, status, body, *, size=None, etag=None, code=None):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if size is None else size))
        self.send_header("X-Repo-Commit", COMMIT)
        if etag:
            self.send_header("ETag", etag)
        if code:
            self.send_header("X-Error-Code", code)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def hub():
    server = ThreadingHTTPServer(("127.0.0.1", 0), SmallHub)
    server.fetched = set()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


FETCH = """
import sys
from kinema.errors import WeightsError
from kinema.hub.download import local_checkpoint
try:
    print(local_checkpoint(sys.argv[1], cache_dir=sys.argv[2], revision=sys.argv[3]))
except WeightsError as error:
    print("refused:", error)
"""


def fetch(hub, repository, cache, *, revision="main", **environment):
    """What a process of its own, which reads the hub's address when it starts, makes of a repository."""
    address = f"http://127.0.0.1:{hub.server_address[1]}"
    local = {"HF_ENDPOINT": address, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "HF_HUB_OFFLINE": "0"}
    command = [sys.executable, "-c", FETCH, repository, str(cache), revision]
    done = subprocess.run(
        command,
        env={**os.environ, **local, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.rstrip("\n")


def test_a_checkpoint_is_fetched_without_its_code_and_kept(hub, tmp_path):
    folder = Path(fetch(hub, "lab/model", tmp_path))
    expected = {"config.json", "model.safetensors", "tokenizer.json"}
    assert {path.name for path in folder.iterdir()} == expected
    assert hub.fetched == expected
    assert (folder / "model.safetensors").read_bytes() == b"weights"
    assert fetch(hub, "lab/model", tmp_path, HF_HUB_OFFLINE="1") == str(folder)


def test_pickled_weights_are_fetched_where_there_are_no_others(hub, tmp_path):
    folder = Path(fetch(hub, "lab/pickled", tmp_path))
    assert {path.name for path in folder.iterdir()} == {"config.json", "tokenizer.json", "pytorch_model.bin"}
    assert fetch(hub, "lab/pickled", tmp_path, HF_HUB_OFFLINE="1") == str(folder)


def test_the_only_file_of_weights_is_fetched_whatever_its_name(hub, tmp_path):
    file = Path(fetch(hub, "lab/bare", tmp_path))
    assert (file.name, file.read_bytes()) == ("our-1b.pt", b"pickle")
    assert hub.fetched == {"README.md", "our-1b.pt"}
    assert fetch(hub, "lab/bare", tmp_path, HF_HUB_OFFLINE="1") == str(file.parent)


def test_of_several_files_of_weights_one_is_named_and_fetched_alone(hub, tmp_path):
    answer = fetch(hub, "lab/several", tmp_path)
    assert answer == (
        "refused: lab/several holds 2 files of weights, large/clip.pth, small/clip.bin; name one, such as "
        "'lab/several/large/clip.pth'."
    )
    file = Path(fetch(hub, "lab/several/small/clip.bin", tmp_path))
    assert file.read_bytes() == b"small"
    assert hub.fetched == {"README.md", "small/clip.bin"}
    assert fetch(hub, "lab/several/small/clip.bin", tmp_path, HF_HUB_OFFLINE="1") == str(file)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("lab/several/clip.pth", "lab/several/clip.pth is no file here, and lab/several on the hub gave no"),
        ("lab/empty", "lab/empty holds no weights; it holds README.md"),
    ],
)
def test_what_a_repository_does_not_hold_is_refused(hub, tmp_path, source, said):
    assert fetch(hub, source, tmp_path).startswith(f"refused: {said}")


@pytest.mark.parametrize(
    ("repository", "revision", "advice"),
    [
        ("lab/gated", "main", "is gated: accept its terms"),
        ("lab/absent", "main", "is not on the hub, or is private: check the spelling"),
        ("lab/model", "v9", "has no revision 'v9'"),
    ],
)
def test_a_refusal_says_what_to_do_in_one_line(hub, tmp_path, repository, revision, advice):
    answer = fetch(hub, repository, tmp_path, revision=revision)
    assert answer.startswith(f"refused: {repository} {advice}")
    assert "\n" not in answer


def test_a_hub_that_cannot_be_reached_is_named_as_the_cause(hub, tmp_path):
    hub.server_close()
    assert "the hub cannot be reached: check the network" in fetch(hub, "lab/model", tmp_path)


def test_the_environment_can_forbid_the_network(hub, tmp_path):
    assert "offline is set" in fetch(hub, "lab/model", tmp_path, HF_HUB_OFFLINE="1")
    assert hub.fetched == set()
