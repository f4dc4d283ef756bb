// SPDX-License-Identifier: MIT

// Node's undici as a client: see test_languages.py for what is asked of it.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const { ProxyAgent, request } = createRequire(process.env.UNDICI + '/')('undici');
const [proxy, ca, http, https, closed] = process.argv.slice(2);
const tls = { ca: readFileSync(ca) };
const { username, password, origin: uri } = new URL(proxy);
const token = username && 'Basic ' + Buffer.from(`${username}:${password}`).toString('base64');
const dispatcher = new ProxyAgent({ uri, proxyTls: tls, requestTls: tls, ...(token && { token }) });

async function fetchBytes(url, options) {
    const { statusCode, body } = await request(url, { dispatcher, ...options });
    const data = Buffer.from(await body.arrayBuffer());
    if (statusCode !== 200) throw new Error(`${url}: ${statusCode}`);
    return data;
}

// An iterable has no length: it is sent in chunks.
async function* pieces(data) {
    for (let at = 0; at < data.length; at += 65536) yield data.subarray(at, at + 65536);
}

const hash = (data) => createHash('sha256').update(data).digest('hex');

for (const [scheme, origin] of [['http', http], ['https', https]]) {
    const data = await fetchBytes(`${origin}/file`);
    console.log(scheme, 'get', hash(data));
    const said = await fetchBytes(`${origin}/app/hash`, { method: 'PUT', body: pieces(data) });
    console.log(scheme, 'put', said.toString());
    const urls = Array.from({ length: 100 }, (_, i) => `${origin}/tiles/${i}.png`);
    const tiles = await Promise.all(urls.map((url) => fetchBytes(url)));
    console.log(scheme, 'many', hash(Buffer.concat(tiles)));
}
for (const scheme of ['http', 'https']) {
    try {
        const { statusCode, statusText } = await request(`${scheme}://${closed}/`, { dispatcher });
        console.log(scheme, 'refused', statusCode, statusText);
    } catch (error) {
        console.log(scheme, 'refused', error.message, error.cause?.message ?? '');
    }
}
await dispatcher.close();
