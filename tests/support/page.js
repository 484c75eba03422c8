// Functions for the end-to-end tests, in every document of a page under test as `levadaTest`.
window.levadaTest = {
  // The next animation frame, or 100 ms where none comes (a page that is not drawn).
  nextFrame() {
    return new Promise((resume) => {
      const timer = setTimeout(resume, 100);
      requestAnimationFrame(() => { clearTimeout(timer); resume(); });
    });
  },

  // Looks at `condition` at every animation frame: { value } once it is true, { last } when `limit` ms are over.
  async waitFor(condition, limit) {
    const deadline = performance.now() + limit;
    for (;;) {
      let last;
      try {
        last = await condition();
        if (last) return { value: last };
      } catch (error) {
        last = String(error);
      }
      if (performance.now() > deadline) return { last: JSON.stringify(last) ?? String(last) };
      await this.nextFrame();
    }
  },

  // The inbound RTP statistics of `kind` ("audio" or "video") as a plain object, or undefined.
  async inbound(pc, kind) {
    for (const entry of (await pc.getStats()).values()) {
      if (entry.type === "inbound-rtp" && entry.kind === kind) return { ...entry };
    }
  },

  // Resolves when `value()` has risen in each of `seconds` seconds in a row; the first and the last value.
  // The caller's limit ends it: a value that stands still for a second starts the count anew.
  async risingEachSecond(value, seconds) {
    let samples = [];
    let next = 0;
    for (;;) {
      await this.nextFrame();
      const now = performance.now();
      if (now < next) continue;
      next = now + 1000;
      const current = (await value()) ?? 0;
      if (samples.length > 0 && current <= samples.at(-1)) samples = [];
      samples.push(current);
      if (samples.length > seconds) return { first: samples[0], last: samples.at(-1), samples };
    }
  },

  // The mean and the standard deviation of a video's luminance (0 to 255), how far its colours are from grey on average
  // (0 to 255), and its pixels as a 32 by 18 thumbnail; of its upper `part` alone, where one is given, and of what lies
  // between the parts `left` and `right` of its width.
  picture(video, part = 1, left = 0, right = 1) {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [32, 18];
    const context = canvas.getContext("2d", { willReadFrequently: true });
    const [width, height] = [video.videoWidth, video.videoHeight];
    context.drawImage(video, width * left, 0, width * (right - left), height * part, 0, 0, 32, 18);
    const { data } = context.getImageData(0, 0, 32, 18);
    const luma = [];
    let colour = 0;
    for (let i = 0; i < data.length; i += 4) {
      const rgb = data.slice(i, i + 3);
      luma.push(Math.round(0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]));
      colour += Math.max(...rgb) - Math.min(...rgb);
    }
    colour /= luma.length;
    const mean = luma.reduce((sum, value) => sum + value, 0) / luma.length;
    const variance = luma.reduce((sum, value) => sum + (value - mean) ** 2, 0) / luma.length;
    return { width, height, mean, colour, deviation: Math.sqrt(variance), luma };
  },

  // How alike two pictures are: the correlation of their thumbnails, 1 for the same, about 0 for unrelated ones.
  likeness(one, other) {
    const product = one.luma.reduce((sum, value, i) => sum + (value - one.mean) * (other.luma[i] - other.mean), 0);
    return product / one.luma.length / (one.deviation * other.deviation || 1);
  },

  // A thumbnail as seen in a mirror.
  mirrored(picture) {
    const row = (y) => picture.luma.slice(y * 32, y * 32 + 32).reverse();
    return { ...picture, luma: Array.from({ length: 18 }, (_, y) => row(y)).flat() };
  },

  // Watches both halves of a video for so many seconds: how many different pictures each has shown, and in how many of
  // all looks one was the mirror image of the other at the same moment.
  async halves(video, seconds) {
    const found = { looks: 0, alike: 0, left: 0, right: 0 };
    const before = {};
    const end = performance.now() + seconds * 1000;
    while (performance.now() < end) {
      await this.nextFrame();
      const now = { left: this.picture(video, 1, 0, 0.5), right: this.picture(video, 1, 0.5, 1) };
      found.looks += 1;
      if (this.likeness(now.left, this.mirrored(now.right)) > 0.98) found.alike += 1;
      for (const half of ["left", "right"]) {
        const changed = before[half]?.luma.some((value, i) => Math.abs(value - now[half].luma[i]) > 8);
        if (changed) found[half] += 1;
        before[half] = now[half];
      }
    }
    return found;
  },

  // The number in the cells along the lower edge of a video, as `overlay-text` draws them, or null.
  marks(video) {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(video, 0, 0);
    const { width, height } = canvas;
    const rows = Math.max(2, Math.floor(height / 24) * 2);
    const { data } = context.getImageData(0, height - 1 - Math.floor(rows / 2), width, 1);
    const bits = Array.from({ length: 32 }, (_, i) => (data[4 * Math.floor(((2 * i + 1) * width) / 64) + 1] > 127 ? 1 : 0));
    const number = (from, to) => bits.slice(from, to).reduce((sum, bit) => sum * 2 + bit, 0);
    let check = 0;
    for (let rest = number(2, 26); rest > 0; rest = Math.floor(rest / 16)) check ^= rest % 16;
    const ends = number(0, 2) === 2 && number(30, 32) === 2;
    return ends && check === number(26, 30) ? number(2, 26) : null;
  },

  // The mean energy of the sound that is sent and of the sound that comes back, over so many seconds.
  async levels(pc, seconds) {
    const look = async () => {
      const levels = {};
      for (const entry of (await pc.getStats()).values()) {
        if (entry.kind !== "audio" || !["media-source", "inbound-rtp"].includes(entry.type)) continue;
        levels[entry.type] = [entry.totalAudioEnergy, entry.totalSamplesDuration];
      }
      return [levels["media-source"], levels["inbound-rtp"]];
    };
    const before = await look();
    const end = performance.now() + seconds * 1000;
    while (performance.now() < end) await this.nextFrame();
    const after = await look();
    return after.map(([energy, time], i) => (energy - before[i][0]) / (time - before[i][1]));
  },

  // `promise`, or a rejection after `limit` ms.
  within(limit, promise) {
    return Promise.race([
      promise,
      new Promise((_, fail) => setTimeout(() => fail(new Error(`no answer within ${limit} ms`)), limit)),
    ]);
  },

  // Sends `payload` on a new channel named `label` and resolves with the first message that comes back.
  echo(pc, label, payload) {
    return new Promise((resolve, reject) => {
      const channel = pc.createDataChannel(label);
      channel.binaryType = "arraybuffer";
      channel.onopen = () => channel.send(payload);
      channel.onmessage = ({ data }) => { resolve(data); channel.close(); };
      channel.onerror = ({ error }) => reject(error);
      channel.onclose = () => reject(new Error("the channel was closed"));
    });
  },

  async echoOfText(pc, label, length) {
    let text = "";
    while (text.length < length) text += `${text.length} Grüße, 水路. `;
    text = text.slice(0, length);
    return (await this.echo(pc, label, text)) === text;
  },

  async echoOfBytes(pc, label, length) {
    const bytes = Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8)) & 255);
    const data = await this.echo(pc, label, bytes);
    if (!(data instanceof ArrayBuffer) || data.byteLength !== length) return `${data} of ${data.byteLength} bytes`;
    return new Uint8Array(data).every((byte, i) => byte === bytes[i]);
  },

  // Bits a second of the video that comes in, measured for `ms`.
  async videoRate(pc, ms) {
    const bytes = async () => {
      const entries = [...(await pc.getStats()).values()];
      return entries.find((entry) => entry.type === "inbound-rtp" && entry.kind === "video")?.bytesReceived ?? 0;
    };
    const [first, began] = [await bytes(), performance.now()];
    await new Promise((done) => setTimeout(done, ms));
    return ((await bytes()) - first) * 8000 / (performance.now() - began);
  },

  // Bits a second that the browser's own video encoder aims at, after `ms`.
  async videoTarget(pc, ms) {
    await new Promise((done) => setTimeout(done, ms));
    const entries = [...(await pc.getStats()).values()];
    return entries.find((entry) => entry.type === "outbound-rtp" && entry.kind === "video")?.targetBitrate;
  },

  // Lets this page offer only these codecs of a kind, such as restrict("video", ["video/VP8"]). Before it offers.
  restrict(kind, mimeTypes) {
    const offer = RTCPeerConnection.prototype.createOffer;
    RTCPeerConnection.prototype.createOffer = function (...options) {
      const { codecs } = RTCRtpSender.getCapabilities(kind);
      const wanted = codecs.filter(({ mimeType }) => mimeTypes.includes(mimeType));
      for (const transceiver of this.getTransceivers()) {
        if (transceiver.sender.track?.kind === kind) transceiver.setCodecPreferences(wanted);
      }
      return offer.apply(this, options);
    };
  },

  // The MIME type of what comes in.
  async codec(pc, kind) {
    const entries = await pc.getStats();
    return entries.get((await this.inbound(pc, kind))?.codecId)?.mimeType;
  },

  // Sends a picture of this size instead: quarters in known colours, and a bar that moves between them.
  async sendQuarters(pc, width, height) {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext("2d", { alpha: false });
    let count = 0;
    const draw = () => {
      const [w, h] = [width / 2, height / 2];
      const quarters = [["#e8e8e8", 0, 0], ["#c03020", w, 0], ["#2040c0", 0, h], ["#208030", w, h]];
      for (const [colour, x, y] of quarters) {
        context.fillStyle = colour;
        context.fillRect(x, y, w, h);
      }
      context.fillStyle = "#808080";
      context.fillRect((count++ * 8) % width, height * 0.47, width / 16, height * 0.06);
    };
    clearInterval(this.quartersTimer);
    this.quartersTimer = setInterval(draw, 33);
    draw();
    const [track] = canvas.captureStream(30).getVideoTracks();
    // The size stays as it is, whatever the browser thinks of the network.
    track.contentHint = "detail";
    await pc.getSenders().find((sender) => sender.track?.kind === "video").replaceTrack(track);
  },

  // The size of a video, and the colours of its upper quarters as [red, green, blue].
  quarters(video) {
    const canvas = document.createElement("canvas");
    const [width, height] = [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(video, 0, 0);
    const at = (x) => [...context.getImageData(Math.floor(width * x), Math.floor(height / 4), 1, 1).data.slice(0, 3)];
    return { width, height, left: at(0.25), right: at(0.75) };
  },

  // The colour of a spot of a video as [red, green, blue]; x and y are parts of its width and height.
  spot(video, x, y) {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [1, 1];
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(video, video.videoWidth * x - 4, video.videoHeight * y - 4, 8, 8, 0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data.slice(0, 3)];
  },

  // How often this peer was told of a loss or found one itself, in both directions.
  async signsOfLoss(pc) {
    let signs = 0;
    for (const entry of (await pc.getStats()).values()) {
      if (entry.type === "outbound-rtp") signs += (entry.nackCount ?? 0) + (entry.pliCount ?? 0);
      if (entry.type === "inbound-rtp") signs += Math.max(entry.packetsLost ?? 0, 0);
      if (entry.type === "remote-inbound-rtp") signs += Math.max(entry.packetsLost ?? 0, 0);
    }
    return signs;
  },
};
