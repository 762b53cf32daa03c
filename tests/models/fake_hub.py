"""A small Hub on this machine's loopback, for tests of what is downloaded."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import huggingface_hub.constants


class FakeHub:
    """Speaks as much of the Hub's API as snapshot_download needs. `repos`: (name, commit) -> files."""

    def __init__(self):
        self.repos: dict[str, tuple[str, dict[str, bytes]]] = {}
        self.requests: list[str] = []
        self.damaged: set[str] = set()  # files whose content is not what the Hub announces
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def do_HEAD(self):
                self.answer(send=False)

            def do_GET(self):
                self.answer(send=True)

            def answer(self, send):
                path = unquote(urlsplit(self.path).path)
                fake.requests.append(f"{self.command} {path}")
                words = path.strip("/").split("/")
                if words[:2] == ["api", "models"]:
                    repo, words = "/".join(words[2:4]), words[4:]
                else:
                    repo, words = "/".join(words[:2]), words[2:]
                if repo not in fake.repos:
                    return self.reply(404, b"", {"X-Error-Code": "RepoNotFound"}, send)
                commit, files = fake.repos[repo]
                if words[0] in ("revision", "tree", "resolve") and words[1] not in ("main", commit):
                    return self.reply(404, b"", {"X-Error-Code": "RevisionNotFound"}, send)
                if words[0] == "revision":
                    return self.json({"id": repo, "sha": commit, "siblings": []}, send)
                if words[0] == "tree":
                    return self.json([fake.listing(name, data) for name, data in files.items()], send)
                name = "/".join(words[2:])
                listed = fake.listing(name, files[name])
                etag = listed["lfs"]["oid"] if "lfs" in listed else listed["oid"]
                data = files[name]
                if name in fake.damaged:
                    data = data[:-1] + bytes([data[-1] ^ 1])
                self.reply(200, data, {"ETag": f'"{etag}"', "X-Repo-Commit": commit}, send)

            def json(self, value, send):
                self.reply(200, json.dumps(value).encode(), {"Content-Type": "application/json"}, send)

            def reply(self, status, data, headers, send):
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(data))}.items():
                    self.send_header(name, value)
                self.end_headers()
                if send:
                    self.wfile.write(data)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @staticmethod
    def listing(name, data):
        entry = {
            "type": "file",
            "path": name,
            "size": len(data),
            "oid": hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest(),
        }
        if name.endswith(".safetensors"):
            entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
        return entry

    def stand_in(self, monkeypatch, tmp_path):
        """Be the Hub for one test, with caches of its own below ``tmp_path``."""
        monkeypatch.setenv("HF_ENDPOINT", self.url)
        monkeypatch.setenv("LIMPID_CACHE", str(tmp_path / "limpid"))
        monkeypatch.delenv("LIMPID_CATALOG", raising=False)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hf"))

    def close(self):
        self.server.shutdown()
        self.server.server_close()
