# SPDX-License-Identifier: MIT
"""Whole files through server and agent, by curl: one big, many at once, both encodings."""
import hashlib
import subprocess

from payload import make_payload
from processes import PATIENCE
from transfer import download, upload

MIB = 1 << 20


def test_big_download(world, curl, nginx, big_file):
    path, digest = big_file
    server, _ = world.tunnel()
    assert download(curl(server, f"{nginx.https}/{path.name}")) == digest


def test_big_upload(world, curl, upload_site, big_file):
    path, digest = big_file
    server, _ = world.tunnel()
    assert upload(curl(server, "--upload-file", path, upload_site.url)) == digest


def test_json_both_ways(world, curl, nginx, upload_site):
    path = nginx.root / "medium"
    digest = make_payload(path, 64 * MIB)
    server, _ = world.tunnel("--encoding", "json")
    assert download(curl(server, f"{nginx.https}/{path.name}")) == digest
    assert upload(curl(server, "--upload-file", path, upload_site.url)) == digest
    path.unlink()


def test_http_through_a_tunnel(world, curl, nginx):
    (nginx.root / "small").write_text("hello\n")
    server, _ = world.tunnel()
    command = curl(server, "--proxytunnel", f"{nginx.http}/small")
    assert subprocess.run(command, capture_output=True, check=True).stdout == b"hello\n"


def test_200_at_once(world, curl, nginx, tmp_path):
    """Each gets its own contents: no byte goes to another stream."""
    count, directory = 200, nginx.root / "many"
    directory.mkdir()
    digests = [make_payload(directory / str(i), 100_000 + i) for i in range(count)]
    config = tmp_path / "curl.config"
    config.write_text(
        "".join(f'url="{nginx.https}/many/{i}"\noutput="{tmp_path}/{i}"\n' for i in range(count))
    )
    server, _ = world.tunnel()
    command = curl(server, "--parallel", "--parallel-immediate", "--parallel-max", str(count),
                   "--config", config)  # fmt: skip
    subprocess.run(command, check=True, timeout=PATIENCE, stderr=subprocess.DEVNULL)
    for i in range(count):
        assert hashlib.sha256((tmp_path / str(i)).read_bytes()).hexdigest() == digests[i]


def test_a_slow_reader_holds_up_nobody(world, nginx):
    """A tunnel whose client does not read is full; another one works, and then the first too."""
    (nginx.root / "slow").write_bytes(bytes(32 * MIB))
    (nginx.root / "small").write_text("hello\n")
    request = "GET /%s HTTP/1.0\r\n\r\n"
    server, _ = world.tunnel()
    slow = world.client(server).open(nginx.address)
    slow.send((request % "slow").encode())
    slow.read_head()
    for _ in range(3):
        quick = world.client(server).open(nginx.address)
        quick.send((request % "small").encode())
        quick.read_head()
        assert quick.read_to_end() == b"hello\n"
    assert len(slow.read_to_end()) == 32 * MIB
