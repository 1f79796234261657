"""A server that takes uploads and throws them away, in a process of its own; prints its port."""

import asyncio
import re

ANSWERS = (
    (b"/commit", b'{"dataFileId":"401","revisionId":"430"}'),
    (b"/multipart ", b'{"sessionId":"1"}'),
    (b"/permissions", b'{"publicAccess":false,"entries":[]}'),
    (b"", b'{"dataFileId":401}'),
)


class Sink(asyncio.BufferedProtocol):
    buffer = bytearray(1024 * 1024)

    def connection_made(self, transport):
        self.transport = transport
        self.head, self.left = b"", 0

    def get_buffer(self, _):
        return self.buffer

    def buffer_updated(self, count):
        data = memoryview(self.buffer)[:count]
        while data:
            if self.left:
                taken = min(self.left, len(data))
                self.left -= taken
                data = data[taken:]
            else:
                self.head += bytes(data)
                head, end, rest = self.head.partition(b"\r\n\r\n")
                if not end:
                    return
                length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
                self.left = int(length[1]) if length else 0
                self.line = head.partition(b"\r\n")[0]
                self.head = b""
                data = memoryview(rest)
                taken = min(self.left, len(data))
                self.left -= taken
                data = data[taken:]
            if not self.left:
                self.answer()

    def answer(self):
        target = self.line.split(b" ")[1].partition(b"?")[0] + b" "
        body = next(body for part, body in ANSWERS if part in target)
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self.transport.write(head % len(body) + body)


async def main():
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with asyncio.timeout(3600):
        await server.serve_forever()


asyncio.run(main())
