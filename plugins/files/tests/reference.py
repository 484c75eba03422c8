"""Writes and reads media files with ffmpeg's libraries, as the reference for tests/reference.rs.

    python reference.py write clip.mkv libx264 aac
    python reference.py read clip.mkv

`write` encodes two seconds of moving pictures and of a tone, with the codecs that are named. `read` prints a line for
each stream (`stream INDEX KIND CODEC WIDTH-OR-RATE HEIGHT-OR-CHANNELS`), packet (`packet INDEX PTS-NS DURATION-NS KEY
BYTES`, `-` where it is not known) and stream again, decoded (`decoded INDEX PICTURES-OR-SAMPLES`).
"""

import math
import sys
from array import array
from fractions import Fraction

import av

WIDTH, HEIGHT, FPS, SECONDS = 160, 96, 25, 2


def picture(n):
    frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
    for index, plane in enumerate(frame.planes):
        row = bytes((x * 3 + n * 5 + index * 60) % 200 + 20 for x in range(plane.line_size))
        plane.update(b"".join(row[y % 7 :] + row[: y % 7] for y in range(plane.height)))
    frame.pts, frame.time_base = n, Fraction(1, FPS)
    return frame


def tone(stream, rate):
    layout = stream.codec_context.layout.name
    channels = stream.codec_context.layout.nb_channels
    step = rate // 50
    resampler = av.AudioResampler(stream.codec_context.format.name, layout, rate)
    for n in range(SECONDS * 50):
        values = (math.sin((n * step + i) * 2 * math.pi * 440 / rate) * 12_000 for i in range(step))
        samples = array("h", (int(v) for v in values for _ in range(channels)))
        frame = av.AudioFrame("s16", layout, step)
        frame.planes[0].update(samples.tobytes())
        frame.rate, frame.pts, frame.time_base = rate, n * step, Fraction(1, rate)
        yield from resampler.resample(frame)


def write(path, *codecs):
    with av.open(path, "w") as container:
        streams = []
        for name in codecs:
            if av.codec.Codec(name, "w").type == "video":
                stream = container.add_stream(name, rate=FPS)
                stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
                if name == "libx264":
                    stream.options = {"bf": "2", "g": "25", "preset": "fast"}
                elif name.startswith("libvpx"):
                    stream.options = {"g": "25", "deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
                streams.append((stream, (picture(n) for n in range(SECONDS * FPS))))
            else:
                rate = 8_000 if name in ("pcm_mulaw", "pcm_alaw") else 48_000
                stream = container.add_stream(name, rate=rate, layout="mono" if rate == 8_000 else "stereo")
                streams.append((stream, None))
        for stream, frames in streams:
            for frame in frames if frames is not None else tone(stream, stream.codec_context.rate):
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))


def ns(value, base):
    return "-" if value is None else round(value * base * 1_000_000_000)


def read(path):
    with av.open(path) as container:
        for stream in container.streams:
            context = stream.codec_context
            is_video = stream.type == "video"
            size = (context.width, context.height) if is_video else (context.rate, context.channels)
            print("stream", stream.index, stream.type, context.name, *size)
        decoded = [0] * len(container.streams)
        for packet in container.demux():
            stream, base = packet.stream, packet.time_base
            if packet.size:
                times = ns(packet.pts, base), ns(packet.duration, base)
                print("packet", stream.index, *times, int(packet.is_keyframe), packet.size)
            for frame in packet.decode():
                decoded[stream.index] += 1 if stream.type == "video" else frame.samples
        for index, count in enumerate(decoded):
            print("decoded", index, count)


if __name__ == "__main__":
    {"write": write, "read": read}[sys.argv[1]](*sys.argv[2:])
