# SPDX-License-Identifier: MIT
"""Python's aiohttp as a client: see test_languages.py for what is asked of it."""
import asyncio
import hashlib
import ssl
import sys

import aiohttp

proxy, ca, http, https, closed = sys.argv[1:]


async def pieces(data):
    """An iterable has no length: it is sent in chunks."""
    for at in range(0, len(data), 65536):
        yield data[at : at + 65536]


# Before 3.13.3 it used connections again without the credentials for the proxy.
forgets = tuple(map(int, aiohttp.__version__.split(".")[:3])) < (3, 13, 3)


async def main():
    tls = ssl.create_default_context(cafile=ca)
    connector = aiohttp.TCPConnector(ssl=tls, force_close=forgets and "@" in proxy)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def fetch(url):
            async with session.get(url, proxy=proxy) as answer:
                answer.raise_for_status()
                return await answer.read()

        for scheme, origin in (("http", http), ("https", https)):
            data = await fetch(f"{origin}/file")
            print(scheme, "get", hashlib.sha256(data).hexdigest())
            url = f"{origin}/app/hash"
            async with session.put(url, data=pieces(data), proxy=proxy) as answer:
                print(scheme, "put", await answer.text())
            tiles = await asyncio.gather(*(fetch(f"{origin}/tiles/{i}.png") for i in range(100)))
            print(scheme, "many", hashlib.sha256(b"".join(tiles)).hexdigest())
        async with session.get(f"http://{closed}/", proxy=proxy) as answer:
            print("http refused", answer.status, answer.reason)
        try:
            await fetch(f"https://{closed}/")
        except aiohttp.ClientError as error:
            print("https refused", error)


asyncio.run(main())
