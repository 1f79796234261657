"""The server that takes everything, where there is no compiler for the one in C.

usage: python -m benchmarks.sink [--tls CERTIFICATES KEY] [--verify]

It says the same as `native/sink.c`, slower, and gives no file out.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import ssl
import sys

from aiohttp import web

S3 = (
    '<?xml version="1.0" encoding="UTF-8"?><{0} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    "<Bucket>bucket</Bucket><Key>key</Key><UploadId>1</UploadId><ETag>1</ETag></{0}>"
)
ANSWERS = {
    "/commit": {"dataFileId": "401", "revisionId": "430"},
    "/multipart": {"sessionId": "1"},
    "/permissions": {"publicAccess": False, "entries": []},
}


class Sink:
    """Takes bodies and forgets them."""

    def __init__(self, *, verify: bool) -> None:
        self._verify = verify
        self._stats = {"bytes": 0, "bodies": 0, "checked": 0, "wrong": 0}

    async def take(self, request: web.Request) -> web.Response:
        """Take a request, whichever it is."""
        digest, size = hashlib.sha256(), 0
        async for chunk in request.content.iter_any():
            size += len(chunk)
            if self._verify:
                digest.update(chunk)
        path = request.path
        chunked = request.headers.get("X-Amz-Decoded-Content-Length")
        is_about = path.endswith(("/multipart", "/commit")) or path.startswith("/bucket/")
        if size and (request.method == "PUT" or not is_about):
            self._stats["bytes"] += int(chunked or size)
            self._stats["bodies"] += 1
        in_header = request.headers.get("X-Amz-Checksum-Sha256", "")
        checksum = request.query.get("checksum") or base64.b64decode(in_header).hex()
        if self._verify and checksum and not chunked:
            self._stats["checked"] += 1
            if checksum != digest.hexdigest():
                self._stats["wrong"] += 1
                return web.json_response({"message": "the checksum is wrong"}, status=400)
        return self._answer(request, path)

    def _answer(self, request: web.Request, path: str) -> web.Response:
        if path.startswith("/bucket/"):
            name = "Complete" if "uploadId" in request.query else "Initiate"
            body = S3.format(f"{name}MultipartUploadResult") if request.method == "POST" else ""
            headers = {"ETag": '"1"'}
            return web.Response(text=body, content_type="application/xml", headers=headers)
        if path == "/stats":
            return web.json_response(self._stats)
        last = "/" + path.rpartition("/")[2]
        name = "dataFileId" if request.method == "POST" else "revisionId"
        return web.json_response(ANSWERS.get(last, {name: 401}))


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tls", nargs=2)
    parser.add_argument("--verify", action="store_true")
    asked = parser.parse_args()
    context = None
    if asked.tls:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*asked.tls)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", Sink(verify=asked.verify).take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.to_thread(sys.stdin.read)  # whoever started it closes that at the end


if __name__ == "__main__":
    asyncio.run(main())
