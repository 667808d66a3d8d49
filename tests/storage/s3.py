"""An object store on 127.0.0.1 that can be stopped and started."""

import signal
import socket
import subprocess
import sys
import time
from contextlib import closing, contextmanager

import boto3

BUCKET = "faces"
KEY = "key-that-nobody-must-read"


def free_port():
    """One that nobody listens at."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class ObjectStore:
    """moto's server, whose objects are in its memory."""

    def __init__(self):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)], **quiet
        )
        for _ in range(600):
            with closing(socket.socket()) as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    break
            time.sleep(0.1)
        self.client = boto3.client("s3", endpoint_url=self.url, region_name="us-east-1", **self._keys)
        self.client.create_bucket(Bucket=BUCKET)

    @property
    def _keys(self):
        return {"aws_access_key_id": "testing", "aws_secret_access_key": KEY}

    @property
    def environment(self):
        return {
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": KEY,
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": self.url,
        }

    def names(self, under=""):
        """Of the objects that begin so."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=under)
        found = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
        return [name for name in found if not name.endswith("/")]

    @contextmanager
    def unreachable(self):
        """Inside, whoever connects is never answered."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def stop(self):
        self._process.kill()
        self._process.wait()
