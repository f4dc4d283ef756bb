# SPDX-License-Identifier: MIT
"""Python's requests as a client: see test_languages.py for what is asked of it."""
import hashlib
import sys
from concurrent.futures import ThreadPoolExecutor

import requests

proxy, ca, http, https, closed = sys.argv[1:]
session = requests.Session()
session.trust_env = False
session.proxies = {"http": proxy, "https": proxy}
session.verify = ca


def fetch(url):
    answer = session.get(url, timeout=60)
    answer.raise_for_status()
    return answer.content


def pieces(data):
    """An iterable has no length: it is sent in chunks. Before 2.29 it went without the credentials
    for the proxy."""
    if tuple(map(int, requests.__version__.split(".")[:2])) < (2, 29):
        return data
    return (data[at : at + 65536] for at in range(0, len(data), 65536))


for scheme, origin in (("http", http), ("https", https)):
    data = fetch(f"{origin}/file")
    print(scheme, "get", hashlib.sha256(data).hexdigest())
    print(scheme, "put", session.put(f"{origin}/app/hash", data=pieces(data), timeout=60).text)
    with ThreadPoolExecutor(16) as pool:
        tiles = pool.map(fetch, [f"{origin}/tiles/{i}.png" for i in range(100)])
        print(scheme, "many", hashlib.sha256(b"".join(tiles)).hexdigest())
answer = session.get(f"http://{closed}/", timeout=60)
print("http refused", answer.status_code, answer.reason)
try:
    fetch(f"https://{closed}/")
except requests.exceptions.ProxyError as error:
    print("https refused", error)
