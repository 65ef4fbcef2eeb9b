"""A server in a process of its own, for the checks of it and for Benchmarks/server."""

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

import openai

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
MODEL = os.path.join(ROOT, "Sources/tessera/Resources/default.tsr")
QUESTION = "Maria has 66 cookies. She buys 8 more. How many cookies does Maria have now?"
OTHER = "Tom has 12 pens. He loses 5. How many pens are left?"


def built():
    """The program, built as tests are."""
    subprocess.run(["Tools/swift", "build", "--package-path", "Sources/Server", "--scratch-path", ".build-server"],
                   check=True, stdout=sys.stderr, cwd=ROOT)
    return os.path.join(ROOT, ".build-server/debug/tessera-server")


class Server:
    """The server in a process of its own, on a free port."""

    def __init__(self, program, *options, model=MODEL, before=None):
        """`before` is called in the new process before it becomes the server."""
        self.folder = tempfile.TemporaryDirectory()
        self.process = subprocess.Popen([program, model, "--port", "0", *options], stderr=subprocess.PIPE, text=True,
                                        env={**os.environ, "TESSERA_CACHE": self.folder.name}, preexec_fn=before)
        self.errors = []
        for line in self.process.stderr:
            self.errors.append(line)
            found = re.search(r"listens on http://127\.0\.0\.1:(\d+)", line)
            if found:
                self.port = int(found.group(1))
                break
        else:
            raise SystemExit("the server did not start:\n" + "".join(self.errors))
        threading.Thread(target=lambda: self.errors.extend(self.process.stderr), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def client(self, key="none"):
        return openai.OpenAI(base_url=f"http://127.0.0.1:{self.port}/v1", api_key=key, max_retries=0)

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=60) as response:
            return response.read().decode()

    def post(self, path, body, headers=None):
        """(status, JSON)"""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, headers or {})
        try:
            with urllib.request.urlopen(request, timeout=300) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def metric(self, name):
        return float(re.search(rf"^tessera_{name} (\S+)$", self.get("/metrics"), re.M).group(1))

    def memory(self):
        """Bytes of resident memory."""
        with open(f"/proc/{self.process.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def wait_until_idle(self, seconds=30):
        end = time.monotonic() + seconds
        while self.metric("requests_active") > 0:
            assert time.monotonic() < end, "a request is still being answered"
            time.sleep(0.05)


def ask(client, text, **options):
    return client.chat.completions.create(
        model="any", messages=[{"role": "user", "content": text}], temperature=0, **options)
