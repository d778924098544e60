"""A Hugging Face hub on this machine, for tests with the real clients.

It serves folders as repositories, over the end points that `huggingface_hub` and `datasets` ask:
files by revision, with entity tags, ranges and the redirection of large files to a storage host,
and the listings of a repository.  A test can switch on what goes wrong.

    with LoopbackHub() as hub:
        hub.add("google-bert/bert-base-uncased", folder, revision="86b5...")
        hub.add("datasets/stanfordnlp/sst2", other_folder)
        hub.cut = 1_000_000, FIN  # the next large file ends after a megabyte
        subprocess.run(..., env={**os.environ, "HF_ENDPOINT": hub.endpoint, ...})
        assert hub.asked[-1].range == "bytes=1000000-"
"""

import hashlib
import json
import re
import socket
import struct
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

LARGE = (".safetensors", ".parquet", ".bin")  # kept by Git LFS, served by the storage host
BLOCK = 1 << 16
FIN, RESET = "fin", "reset"  # the two ways in which a connection ends too early


@dataclass
class Request:
    """What a client asked, and how many bytes of a file it was sent."""

    method: str
    path: str
    headers: dict[str, str]
    sent: int = 0

    @property
    def range(self) -> str | None:
        return self.headers.get("range")


@dataclass
class Repository:
    """A folder, and the commit under which it is served.  Its files do not change."""

    name: str  # without "datasets/"
    folder: Path
    revision: str
    known: dict[str, dict] = field(default_factory=dict)

    def files(self) -> list[str]:
        """The names of all files, as the hub writes them."""
        paths = sorted(path for path in self.folder.rglob("*") if path.is_file())
        return [path.relative_to(self.folder).as_posix() for path in paths]

    def entry(self, name: str) -> dict:
        """A file as listings describe it: size, git's name of it, and the LFS pointer."""
        if (self.folder / name).is_dir():
            return {"type": "directory", "path": name, "oid": "0" * 40, "size": 0}
        if name not in self.known:
            content = (self.folder / name).read_bytes()
            oid = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            self.known[name] = {"type": "file", "path": name, "size": len(content), "oid": oid}
            if name.endswith(LARGE):
                oid = hashlib.sha256(content).hexdigest()
                self.known[name]["lfs"] = {"oid": oid, "size": len(content), "pointerSize": 134}
        return self.known[name]

    def tree(self, start: str, deep: bool) -> list[dict]:
        """What lies in a folder of the repository."""
        prefix = f"{start}/" if start else ""
        inside = [file.removeprefix(prefix) for file in self.files() if file.startswith(prefix)]
        names = {prefix + (file if deep else file.split("/")[0]) for file in inside}
        return [self.entry(name) for name in sorted(names)]


class LoopbackHub:
    """The hub and its storage host, on two free ports of 127.0.0.1.

    Faults, each off until a test sets it:

    - `status`: every question is answered with this HTTP status.
    - `silent`: connections are taken and never answered.
    - `cut`: (bytes, FIN or RESET), the next answer that would send more ends there; then off.
    - `stall`: bytes, the next answer that would send more stops there, and hangs; then off.
    - `damaged`: the names of files of which one byte is sent wrong.
    - `whole`: ranges are ignored, and the whole file is sent.
    - `xet`: large files are announced as kept in a Xet storage, which is not there.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}  # by their beginning of a URL
        self.stored: dict[str, Path] = {}
        self.asked: list[Request] = []
        self.status: int | None = None
        self.silent = False
        self.cut: tuple[int, str] | None = None
        self.stall: int | None = None
        self.damaged: tuple[str, ...] = ()
        self.whole = False
        self.xet = False
        self.closing = threading.Event()
        handler = type("Handler", (_Handler,), {"hub": self})
        self.servers = [_Server(("127.0.0.1", 0), handler) for _ in range(2)]
        self.endpoint, self.storage = (
            f"http://127.0.0.1:{server.server_port}" for server in self.servers
        )

    def __enter__(self) -> "LoopbackHub":
        for server in self.servers:
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()  # ends what is silent or stalled
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def add(self, name: str, folder: Path, revision: str | None = None) -> None:
        """Serve a folder as a repository; names of data sets begin with "datasets/"."""
        revision = revision or hashlib.sha1(name.encode()).hexdigest()
        self.repositories[name] = Repository(name.removeprefix("datasets/"), folder, revision)

    def served(self, suffix: str) -> list[Request]:
        """The requests that were answered with bytes of a file whose path ends like this."""
        return [request for request in self.asked if request.sent and request.path.endswith(suffix)]


class _Server(ThreadingHTTPServer):
    def handle_error(self, request, client_address) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # a client may go away
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    hub: LoopbackHub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.seen = Request(self.command, unquote(self.path), headers)
        self.hub.asked.append(self.seen)
        if self.hub.silent:
            self.hub.closing.wait()
            self.close_connection = True
        elif self.hub.status:
            self.say(self.hub.status, {"error": "as the test wants it"})
        else:
            self.route(unquote(urlsplit(self.path).path))

    do_HEAD = do_GET  # noqa: N815

    def route(self, path: str) -> None:
        if stored := re.fullmatch("/storage/([^/]+)/(.+)", path):
            if self.command == "HEAD":  # addresses of the storage host are signed for GET alone
                return self.say(403, {"error": "SignatureDoesNotMatch"})
            return self.send_file(self.hub.stored[stored[1]], stored[2], {"ETag": f'"{stored[1]}"'})
        for name, repository in self.hub.repositories.items():
            api = f"/api/{name}" if name.startswith("datasets/") else f"/api/models/{name}"
            if path.startswith(f"/{name}/resolve/"):
                revision, _, file = path.removeprefix(f"/{name}/resolve/").partition("/")
                return self.resolve(repository, revision, file)
            if path == api or path.startswith(f"{api}/revision/"):
                siblings = [{"rfilename": file} for file in repository.files()]
                about = {"id": repository.name, "sha": repository.revision, "siblings": siblings}
                return self.say(200, about)
            if tree := re.fullmatch(f"{re.escape(api)}/tree/[^/]+/?(.*)", path):
                deep = parse_qs(urlsplit(self.path).query).get("recursive") == ["true"]
                return self.say(200, repository.tree(tree[1], deep))
        self.say(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})

    def resolve(self, repository: Repository, revision: str, file: str) -> None:
        """A file: a small one at once, a large one by way of the storage host."""
        if revision not in ("main", repository.revision):
            return self.say(404, {"error": "No such"}, {"X-Error-Code": "RevisionNotFound"})
        headers = {"X-Repo-Commit": repository.revision}
        if file not in repository.files():
            return self.say(404, {"error": "No such"}, {"X-Error-Code": "EntryNotFound", **headers})
        path, entry = repository.folder / file, repository.entry(file)
        if "lfs" not in entry:
            return self.send_file(path, file, {"ETag": f'"{entry["oid"]}"', **headers})
        oid = entry["lfs"]["oid"]
        self.hub.stored[oid] = path
        headers |= {"X-Linked-Etag": f'"{oid}"', "X-Linked-Size": str(entry["size"])}
        if self.hub.xet:
            headers |= {"X-Xet-Hash": "0" * 64, "X-Xet-Refresh-Route": "/no-such-route"}
        self.say(302, {}, {"Location": f"{self.hub.storage}/storage/{oid}/{file}", **headers})

    def say(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
        """An answer that is no file."""
        content = json.dumps(body).encode()
        self.start(status, {"Content-Type": "application/json", **(headers or {})}, len(content))
        if self.command != "HEAD":
            self.wfile.write(content)

    def start(self, status: int, headers: dict[str, str], length: int) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(length)}.items():
            self.send_header(name, value)
        self.end_headers()

    def send_file(self, path: Path, name: str, headers: dict[str, str]) -> None:
        """A file from where the client wants it, with what the test has go wrong."""
        content = bytearray(path.read_bytes())
        if name in self.hub.damaged:
            content[len(content) // 2] ^= 1
        start, end, status = 0, len(content), 200
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked and not self.hub.whole:
            start, end, status = int(asked[1]), min(end, int(asked[2] or end) + 1), 206
            if start >= len(content):
                return self.say(416, {}, {"Content-Range": f"bytes */{len(content)}"})
            headers = {**headers, "Content-Range": f"bytes {start}-{end - 1}/{len(content)}"}
        self.start(status, {**headers, "Accept-Ranges": "bytes"}, end - start)
        if self.command != "HEAD":
            self.send_bytes(memoryview(content)[start:end])

    def send_bytes(self, content: memoryview) -> None:
        cut, stall = self.hub.cut, self.hub.stall
        if cut is not None and len(content) > cut[0]:
            self.hub.cut, content, stall = None, content[: cut[0]], None
        elif stall is not None and len(content) > stall:
            self.hub.stall, content, cut = None, content[:stall], None
        else:
            cut = stall = None
        try:
            for first in range(0, len(content), BLOCK):
                block = content[first : first + BLOCK]
                self.wfile.write(block)
                self.seen.sent += len(block)
        except OSError:  # the client has gone
            self.close_connection = True
            return
        if stall is not None:
            self.hub.closing.wait()
        if cut is not None and cut[1] == RESET:
            at_once = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
            self.connection.close()
        self.close_connection = cut is not None or stall is not None

    def log_message(self, *_: object) -> None:
        """Nothing: what was asked is in `hub.asked`."""
