"""live.py -- an origin of the demo: WebSocket. Counts once a second and says to all what one says.

GET /healthz without Upgrade is 200, for the health check.
"""

import asyncio
from http import HTTPStatus

from websockets.asyncio.server import broadcast, serve

clients = set()


def answer_plain(connection, request):
    if request.path == "/healthz":
        return connection.respond(HTTPStatus.OK, "ok\n")
    return None


async def talk(client):
    clients.add(client)
    try:
        async for said in client:
            broadcast(clients, said)
    finally:
        clients.discard(client)


async def main():
    async with serve(talk, "0.0.0.0", 8080, process_request=answer_plain):
        second = 0
        while True:
            second += 1
            broadcast(clients, f"second {second}, {len(clients)} here\n")
            await asyncio.sleep(1)


asyncio.run(main())
