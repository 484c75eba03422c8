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

  // The mean and the standard deviation of a video's luminance (0 to 255), and its pixels as a 32 by 18 thumbnail.
  picture(video) {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [32, 18];
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(video, 0, 0, 32, 18);
    const { data } = context.getImageData(0, 0, 32, 18);
    const luma = [];
    for (let i = 0; i < data.length; i += 4) {
      luma.push(Math.round(0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2]));
    }
    const mean = luma.reduce((sum, value) => sum + value, 0) / luma.length;
    const variance = luma.reduce((sum, value) => sum + (value - mean) ** 2, 0) / luma.length;
    return { width: video.videoWidth, height: video.videoHeight, mean, deviation: Math.sqrt(variance), luma };
  },
};
