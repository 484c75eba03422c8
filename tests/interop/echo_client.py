"""Posts an offer to /offer with aiortc and checks that sound, pictures and messages come back.

    python echo_client.py http://127.0.0.1:8080 VP8 opus

The other arguments are the video codec (VP8 or H264) and the audio codec (opus, PCMU or PCMA). Prints one JSON object of what came back and ends with 0, or
names what did not come and ends with 1.
"""

import asyncio
import fractions
import json
import math
import sys
import urllib.request
from array import array

import aioice.ice
import av
from aiortc import RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack

# aiortc leaves the loopback address out, and nothing else belongs to a test.
aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]

RATE = 48_000
TONE_HZ = 440
BYTES = bytes((i * 31 + (i >> 8)) & 255 for i in range(50_000))
TEXT = "Grüße über die Levada, 水路"
LIMIT_S = 60


class Tone(MediaStreamTrack):
    """A sine in blocks of 20 ms, in real time."""

    kind = "audio"
    block = RATE // 50

    def __init__(self):
        super().__init__()
        self.count = 0
        self.began = None

    async def recv(self):
        loop = asyncio.get_running_loop()
        self.began = self.began if self.began is not None else loop.time()
        await asyncio.sleep(max(0.0, self.began + self.count * 0.02 - loop.time()))
        first = self.count * self.block
        samples = array(
            "h", (int(12_000 * math.sin(2 * math.pi * TONE_HZ * (first + i) / RATE)) for i in range(self.block))
        )
        frame = av.AudioFrame(format="s16", layout="mono", samples=self.block)
        frame.planes[0].update(samples.tobytes())
        frame.sample_rate, frame.pts, frame.time_base = RATE, first, fractions.Fraction(1, RATE)
        self.count += 1
        return frame


class Halves(MediaStreamTrack):
    """A picture that is bright on the left and dark on the right, 320x240, 15 a second."""

    kind = "video"

    def __init__(self):
        super().__init__()
        self.count = 0
        self.began = None

    async def recv(self):
        loop = asyncio.get_running_loop()
        self.began = self.began if self.began is not None else loop.time()
        await asyncio.sleep(max(0.0, self.began + self.count / 15 - loop.time()))
        frame = av.VideoFrame(320, 240, "yuv420p")
        for plane, row in zip(frame.planes, (bytes([200] * 160 + [50] * 160), bytes([128] * 160), bytes([128] * 160))):
            plane.update(b"".join(row.ljust(plane.line_size, b"\0") for _ in range(plane.height)))
        frame.pts, frame.time_base = self.count * 6_000, fractions.Fraction(1, 90_000)
        self.count += 1
        return frame


async def main(url, codec, sound_codec):
    pc = RTCPeerConnection()
    sound, picture, text, data = (asyncio.get_running_loop().create_future() for _ in range(4))

    async def listen(track):
        loud = 0
        while True:
            frame = await track.recv()
            samples = array("h", bytes(frame.planes[0]))
            # Mono and stereo alike: the loudest sample of the block.
            loud = loud + 1 if max(samples, default=0) > 4_000 else 0
            if loud >= 50 and not sound.done():
                sound.set_result({"loud_blocks_in_a_row": loud, "rate": frame.sample_rate})

    async def look(track):
        seen = 0
        while True:
            frame = await track.recv()
            luma = frame.reformat(format="yuv420p").planes[0]
            middle = bytes(luma)[luma.line_size * (frame.height // 2) :]
            left, right = middle[frame.width // 4], middle[frame.width * 3 // 4]
            seen += left > 150 and right < 100
            if seen >= 30 and not picture.done():
                picture.set_result({"pictures": seen, "width": frame.width, "height": frame.height})

    def ended(future, task):
        # A track that ends early, or cannot be decoded, is the reason why nothing came back.
        if not task.cancelled() and task.exception() and not future.done():
            future.set_exception(task.exception())

    tasks = []

    @pc.on("track")
    def on_track(track):
        watch, future = (listen, sound) if track.kind == "audio" else (look, picture)
        task = asyncio.ensure_future(watch(track))
        task.add_done_callback(lambda task: ended(future, task))
        tasks.append(task)

    chat = pc.createDataChannel("chat")

    @chat.on("open")
    def on_open():
        chat.send(TEXT)
        chat.send(BYTES)

    @chat.on("message")
    def on_message(message):
        future = text if isinstance(message, str) else data
        if not future.done():
            future.set_result(message)

    audio = pc.addTransceiver(Tone(), direction="sendrecv")
    offered = [c for c in RTCRtpSender.getCapabilities("audio").codecs if c.mimeType == f"audio/{sound_codec}"]
    audio.setCodecPreferences(offered)
    video = pc.addTransceiver(Halves(), direction="sendrecv")
    offered = [c for c in RTCRtpSender.getCapabilities("video").codecs if c.mimeType == f"video/{codec}"]
    video.setCodecPreferences(offered)

    await pc.setLocalDescription(await pc.createOffer())
    offer = {"sdp": pc.localDescription.sdp, "type": pc.localDescription.type}
    request = urllib.request.Request(
        f"{url}/offer", json.dumps(offer).encode(), {"Content-Type": "application/json"}
    )
    reply = await asyncio.to_thread(lambda: json.load(urllib.request.urlopen(request, timeout=LIMIT_S)))
    await pc.setRemoteDescription(RTCSessionDescription(reply["sdp"], reply["type"]))

    async def awaited(what, future):
        try:
            return await asyncio.wait_for(future, LIMIT_S)
        except asyncio.TimeoutError:
            raise SystemExit(f"{what} did not come back within {LIMIT_S} s (connection: {pc.connectionState})")

    assert await awaited("the text", text) == TEXT, "the text came back changed"
    assert await awaited("the bytes", data) == BYTES, "the bytes came back changed"
    result = {"sound": await awaited("the sound", sound), "picture": await awaited("the picture", picture)}
    for task in tasks:
        task.cancel()
    await pc.close()
    print(json.dumps(result | {"id": reply["id"], "codec": codec}))


asyncio.run(main(*sys.argv[1:4]))
