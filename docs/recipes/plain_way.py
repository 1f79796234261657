import asyncio

import aiofiles
import aiohttp

BASE = "/api/data/v1/data-files"
PART = 16 * 1024 * 1024


async def upload(instance: str, token: str, path: str, name: str) -> int:
    headers = {"X-DOMO-Developer-Token": token}
    limit = asyncio.Semaphore(8)
    async with aiohttp.ClientSession(instance, headers=headers) as http:

        async def send(session_id: str, index: int) -> None:
            async with limit, aiofiles.open(path, "rb") as file:
                await file.seek((index - 1) * PART)
                part = await file.read(PART)
                url = f"{BASE}/multipart/{session_id}/part/{index}"
                async with http.put(url, data=part) as reply:
                    reply.raise_for_status()

        async with aiofiles.open(path, "rb") as file:
            size = await file.seek(0, 2)
        opening = {"name": name, "contentType": "application/octet-stream"}
        async with http.post(f"{BASE}/multipart", json=opening) as reply:
            reply.raise_for_status()
            session_id = (await reply.json())["sessionId"]
        indexes = range(1, 1 + -(-size // PART))
        await asyncio.gather(*(send(session_id, index) for index in indexes))
        url = f"{BASE}/multipart/{session_id}/commit"
        async with http.post(url, json={"sessionId": session_id}) as reply:
            reply.raise_for_status()
            made = await reply.json()
            return int(made["dataFileId"])
