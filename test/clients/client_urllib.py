# SPDX-License-Identifier: MIT
"""Python's urllib as a client: see test_languages.py for what is asked of it."""
import hashlib
import ssl
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

proxy, ca, http, https, closed = sys.argv[1:]
opener = urllib.request.build_opener(
    urllib.request.ProxyHandler({"http": proxy, "https": proxy}),
    urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=ca)),
)


def fetch(request):
    with opener.open(request, timeout=60) as answer:
        return answer.read()


def pieces(data):
    """An iterable has no length: it is sent in chunks."""
    for at in range(0, len(data), 65536):
        yield data[at : at + 65536]


for scheme, origin in (("http", http), ("https", https)):
    data = fetch(f"{origin}/file")
    print(scheme, "get", hashlib.sha256(data).hexdigest())
    upload = urllib.request.Request(f"{origin}/app/hash", pieces(data), method="PUT")
    print(scheme, "put", fetch(upload).decode())
    with ThreadPoolExecutor(16) as pool:
        tiles = pool.map(fetch, [f"{origin}/tiles/{i}.png" for i in range(100)])
        print(scheme, "many", hashlib.sha256(b"".join(tiles)).hexdigest())
try:
    fetch(f"http://{closed}/")
except urllib.error.HTTPError as error:
    print("http refused", error.code, error.reason)
try:
    fetch(f"https://{closed}/")
except OSError as error:
    print("https refused", error)
