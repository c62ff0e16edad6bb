"""A small TCP proxy between one program and one server: passes bytes on, holds them, delays them, cuts connections."""
import asyncio
import socket
import struct
import threading

CHUNK = 65536
WAYS = ("request", "answer")


class Link:
    """One connection through a proxy: two pumps."""

    def __init__(self, proxy, client, server):
        self.proxy, self.client, self.server = proxy, client, server

    async def pump(self, reader, writer, way):
        while True:
            chunk = await reader.read(CHUNK)
            if not chunk:
                break
            await self.proxy.open[way].wait()
            if self.proxy.delay:
                await asyncio.sleep(self.proxy.delay)
            if self in self.proxy.armed[way]:
                break # this chunk never arrives, and both ends see the connection end
            writer.write(chunk)
            await writer.drain()

    async def run(self):
        pumps = [asyncio.ensure_future(self.pump(self.client[0], self.server[1], "request")),
                 asyncio.ensure_future(self.pump(self.server[0], self.client[1], "answer"))]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            self.abort()

    def abort(self):
        """Both ends get a reset."""
        for _, writer in (self.client, self.server):
            sock = writer.get_extra_info("socket")
            if sock is not None and sock.fileno() >= 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


class Proxy:
    """Listens on `port`.  Its methods, but for start(), are called through Proxies.call()."""

    def __init__(self, target):
        self.target = target
        self.port = 0
        self.links = set()
        self.armed = {"request": set(), "answer": set()} # links that die with their next chunk that way
        self.cuts = 0
        self.refuse = False
        self.delay = 0.0
        self.open = {}

    async def start(self):
        for way in WAYS:
            self.open[way] = asyncio.Event()
            self.open[way].set()
        server = await asyncio.start_server(self.accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]

    async def accept(self, reader, writer):
        if self.refuse:
            writer.transport.abort()
            return
        try:
            server = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        link = Link(self, (reader, writer), server)
        self.links.add(link)
        try:
            await link.run()
        finally:
            for armed in self.armed.values():
                self.cuts += link in armed
                armed.discard(link)
            self.links.discard(link)

    async def cut(self, refuse):
        """Ends all connections; none is taken while `refuse`."""
        self.refuse = refuse
        for link in list(self.links):
            link.abort()

    async def hold(self, on, *ways):
        """Half-open: connections stay and nothing comes through, these ways or none."""
        for way in ways or WAYS:
            (self.open[way].clear if on else self.open[way].set)()

    async def slow(self, seconds):
        self.delay = seconds

    async def arm(self, way, on):
        """The next chunk that way ("request" or "answer") of each connection is lost, with the connection."""
        if on:
            self.armed[way] |= self.links
        else:
            self.armed[way].clear()


class Proxies:
    """All proxies, in one thread of their own."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    def add(self, target):
        proxy = Proxy(target)
        self.call(proxy.start())
        return proxy

    def end(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
