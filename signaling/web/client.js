// The browser's peer: local media, the signaling WebSocket, one RTCPeerConnection, messages and figures.
//
// Flow: Start -> media -> WebSocket /ws -> `join` -> `joined`. Whoever finds somebody in the room offers, the other one
// waits for the offer. Candidates trickle. `bye` ends a call and not the membership: a later offer builds a new
// RTCPeerConnection. Stop, and leaving the page, say `bye`.
//
// For tools: ?source=pattern, ?autostart=1, ?room=NAME; window.pc is the live RTCPeerConnection, window.chat the data
// channel; the status element's data-state is idle, working, connected or failed.

const element = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);

const LOG_LINES = 200;
const SHOWN_CHARACTERS = 300;
const AWAITED_ECHOES = 64;
const EARLY_CANDIDATES = 256;
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 8000;
// Errors after which the same request would fail again.
const FATAL = new Set(["room-full", "server-full", "refused"]);

// Everything of one run, from Start to Stop; null in between.
let run = null;

// ---- What the person sees ----

function append(list, item) {
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 24;
  list.append(item);
  while (list.childElementCount > LOG_LINES) list.firstElementChild.remove();
  if (atEnd) list.scrollTop = list.scrollHeight;
}

function log(text, kind = "info") {
  const item = document.createElement("li");
  const time = document.createElement("time");
  time.textContent = new Date().toLocaleTimeString([], { hour12: false });
  item.dataset.kind = kind;
  item.append(time, text);
  append(element("log"), item);
}

function status(text, state) {
  if (element("status").textContent === text) return;
  element("status").textContent = text;
  element("status").dataset.state = state;
  log(text, state === "failed" ? "problem" : "info");
}

function notice(text) {
  element("notice").textContent = text;
  element("notice").hidden = !text;
  if (text) log(text, "problem");
}

function shorten(text) {
  const count = text.length.toLocaleString("en");
  return text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}… (${count} characters)` : text;
}

function chatLine(from, text, detail) {
  const item = document.createElement("li");
  const small = document.createElement("small");
  item.dataset.from = from;
  small.textContent = detail;
  item.append(shorten(text), small);
  append(element("chat"), item);
  log(`${detail}: ${shorten(text)}`);
}

function showRunning(running) {
  element("start").disabled = running;
  element("stop").disabled = !running;
  for (const input of document.querySelectorAll("#controls input")) input.disabled = running;
}

// ---- Local media ----

// Draws a picture that shows motion, time and frame number, so that delay and loss can be seen with the eye.
function drawPattern(context, frame) {
  const { width, height } = context.canvas;
  const seconds = performance.now() / 1000;
  const bars = ["#e8e8e8", "#d6c62b", "#2bbcd6", "#2fb84d", "#c54fc9", "#d1483f", "#3d5bd9"];
  bars.forEach((colour, index) => {
    context.fillStyle = colour;
    context.fillRect((index * width) / bars.length, 0, width / bars.length + 1, height);
  });
  context.fillStyle = "#10181d";
  context.fillRect(0, height * 0.62, width, height * 0.38);
  context.fillStyle = "#ffffff";
  const x = width * (0.5 + 0.44 * Math.sin(seconds * 1.7));
  const y = height * (0.31 - 0.2 * Math.abs(Math.sin(seconds * 3.1)));
  context.beginPath();
  context.arc(x, y + height * 0.18, height * 0.07, 0, 2 * Math.PI);
  context.fill();
  context.fillRect(0, height * 0.62, ((frame % 90) / 90) * width, 6);
  context.font = `600 ${height * 0.16}px ui-monospace, monospace`;
  context.textAlign = "center";
  context.fillText(new Date().toISOString().slice(11, 23), width / 2, height * 0.83);
  context.font = `${height * 0.07}px ui-monospace, monospace`;
  context.fillText(`test pattern, picture ${frame}`, width / 2, height * 0.95);
}

function pattern() {
  const canvas = document.createElement("canvas");
  canvas.width = 640;
  canvas.height = 360;
  const context = canvas.getContext("2d", { alpha: false });
  let frame = 0;
  drawPattern(context, frame);
  // A timer and not requestAnimationFrame, which stands still in a background tab.
  const timer = setInterval(() => drawPattern(context, ++frame), 1000 / 30);
  const [track] = canvas.captureStream(30).getVideoTracks();
  return { track, end: () => clearInterval(timer) };
}

// A soft tone that comes and goes once a second.
function tone() {
  const context = new AudioContext();
  const oscillator = new OscillatorNode(context, { frequency: 440 });
  const pulse = new OscillatorNode(context, { frequency: 1 });
  const depth = new GainNode(context, { gain: 0.04 });
  const level = new GainNode(context, { gain: 0.05 });
  const destination = new MediaStreamAudioDestinationNode(context, { channelCount: 1 });
  pulse.connect(depth).connect(level.gain);
  oscillator.connect(level).connect(destination);
  oscillator.start();
  pulse.start();
  const [track] = destination.stream.getAudioTracks();
  return { track, end: () => context.close(), resume: () => context.resume() };
}

async function camera(wanted) {
  if (!navigator.mediaDevices) {
    throw new DOMException("the browser gives cameras only to https pages and to localhost", "NotAllowedError");
  }
  const video = { width: { ideal: 640 }, height: { ideal: 360 }, frameRate: { ideal: 30 } };
  const stream = await navigator.mediaDevices.getUserMedia({ audio: wanted.audio, video: wanted.video && video });
  return stream.getTracks();
}

// Gives one audio and one video track, drawn and synthesised where there is no device or no permission.
async function openMedia(source) {
  let tracks = [];
  const problems = [];
  if (source === "camera") {
    try {
      tracks = await camera({ audio: true, video: true });
    } catch (error) {
      problems.push(error);
      // One device alone may be there.
      if (error.name === "NotFoundError") {
        for (const wanted of [{ video: true, audio: false }, { video: false, audio: true }]) {
          try {
            tracks.push(...(await camera(wanted)));
          } catch (other) {
            problems.push(other);
          }
        }
      }
    }
  }
  const made = [];
  const has = (kind) => tracks.some((track) => track.kind === kind);
  const missing = [];
  if (!has("video")) {
    missing.push("the test pattern");
    made.push(pattern());
  }
  if (!has("audio")) {
    missing.push("a tone");
    made.push(tone());
  }
  if (problems.length) {
    const { name, message } = problems[0];
    const cause = {
      NotAllowedError: "the camera or microphone may not be used; allow it in the address bar to change that",
      NotFoundError: "a camera or microphone was not found",
      NotReadableError: "another program uses the camera or microphone",
    }[name];
    notice(`Sending ${missing.join(" and ")}: ${cause ?? "the camera failed"} (${name}: ${message}).`);
  }
  return {
    stream: new MediaStream([...tracks, ...made.map(({ track }) => track)]),
    resume: () => Promise.all(made.map(({ resume }) => resume?.())),
    end() {
      for (const { track, end } of made) {
        track.stop();
        end();
      }
      for (const track of tracks) track.stop();
    },
  };
}

// ---- The peer connection ----

function say(message) {
  if (run?.socket?.readyState === WebSocket.OPEN) run.socket.send(JSON.stringify(message));
}

function closeCall() {
  if (!run) return;
  const { call } = run;
  run.call = null;
  if (call) {
    call.pc.onconnectionstatechange = call.pc.onicecandidate = call.pc.ontrack = call.pc.ondatachannel = null;
    call.pc.close();
  }
  window.pc = null;
  window.chat = null;
  element("remote").srcObject = null;
  element("remote").muted = false;
  element("unmute").hidden = true;
  element("message").disabled = element("send").disabled = true;
  for (const figure of document.querySelectorAll(".figures dd, #remote-detail")) figure.textContent = "–";
}

function openCall() {
  closeCall();
  const pc = new RTCPeerConnection();
  const call = { pc, early: [], echoes: [], last: null };
  run.call = call;
  window.pc = pc;
  pc.onicecandidate = ({ candidate }) => {
    say({ type: "ice-candidate", candidate: candidate?.candidate ? candidate.toJSON() : null });
  };
  const returned = new MediaStream();
  pc.ontrack = ({ track }) => {
    log(`receiving ${track.kind}`);
    returned.addTrack(track);
    playReturned(returned);
  };
  pc.ondatachannel = ({ channel }) => useChannel(call, channel);
  pc.onconnectionstatechange = () => {
    element("figure-state").textContent = pc.connectionState;
    if (pc.connectionState === "connected") status("Connected.", "connected");
    else if (pc.connectionState === "connecting") status("Connecting…", "working");
    else if (pc.connectionState === "disconnected") status("The media connection is interrupted…", "working");
    else if (pc.connectionState === "failed") {
      status("The media connection failed: no path to the other side. Press Stop, then Start.", "failed");
    }
  };
  return call;
}

async function offer() {
  const call = openCall();
  const { pc } = call;
  for (const track of run.media.stream.getTracks()) {
    pc.addTransceiver(track, { direction: "sendrecv", streams: [run.media.stream] });
  }
  useChannel(call, pc.createDataChannel("chat"));
  await pc.setLocalDescription(await pc.createOffer());
  say({ type: "offer", sdp: pc.localDescription.sdp });
  status("Offered; waiting for the answer…", "working");
}

// The origin line (RFC 8866) names a session; the same one with a new version is a renegotiation.
function sessionOf(sdp) {
  return /^o=(\S+ \S+) /m.exec(sdp)?.[1];
}

async function answer(sdp) {
  let call = run.call;
  const current = call?.pc.remoteDescription?.sdp;
  const goesOn = current && sessionOf(current) === sessionOf(sdp) && call.pc.signalingState === "stable";
  if (!goesOn) call = openCall();
  const { pc } = call;
  await pc.setRemoteDescription({ type: "offer", sdp });
  if (!goesOn) {
    // addTrack takes the transceivers that the offer has made, where they fit.
    for (const track of run.media.stream.getTracks()) pc.addTrack(track, run.media.stream);
  }
  await takeEarlyCandidates(call);
  await pc.setLocalDescription(await pc.createAnswer());
  say({ type: "answer", sdp: pc.localDescription.sdp });
}

async function takeEarlyCandidates(call) {
  for (const candidate of call.early.splice(0)) await call.pc.addIceCandidate(candidate);
}

async function takeCandidate(candidate) {
  const { call } = run;
  if (!call || !candidate?.candidate) return;
  if (call.pc.remoteDescription) await call.pc.addIceCandidate(candidate);
  else if (call.early.length < EARLY_CANDIDATES) call.early.push(candidate);
}

async function playReturned(stream) {
  const remote = element("remote");
  if (remote.srcObject !== stream) remote.srcObject = stream;
  try {
    await remote.play();
  } catch (error) {
    // AbortError: another track has just come, whose own play() follows.
    if (error.name !== "NotAllowedError") return;
    remote.muted = true;
    element("unmute").hidden = false;
    log("The browser plays sound only after a click: press “Play the sound”.");
    remote.play().catch(() => {});
  }
}

// ---- Messages ----

function useChannel(call, channel) {
  channel.binaryType = "arraybuffer";
  channel.onopen = () => {
    log(`data channel “${channel.label}” is open`);
    if (call.channel !== channel) return;
    element("message").disabled = element("send").disabled = false;
  };
  channel.onclose = () => {
    if (run?.call !== call || call.channel !== channel) return;
    log(`data channel “${channel.label}” is closed`);
    element("message").disabled = element("send").disabled = true;
  };
  channel.onmessage = ({ data }) => {
    if (typeof data !== "string") {
      chatLine("other", `${data.byteLength.toLocaleString("en")} bytes`, "received");
      return;
    }
    const index = call.echoes.findIndex(({ text }) => text === data);
    if (index < 0) return chatLine("other", data, "received");
    const [{ sent }] = call.echoes.splice(index, 1);
    const milliseconds = (performance.now() - sent).toFixed(1);
    element("figure-echo").textContent = `${milliseconds} ms`;
    chatLine("echo", data, `echo after ${milliseconds} ms`);
  };
  // The other side may open further channels; what is typed goes into the first that is open.
  if (!call.channel || call.channel.readyState === "closed") call.channel = channel;
  window.chat = call.channel;
}

function sendMessage(text) {
  const call = run?.call;
  if (!text || call?.channel?.readyState !== "open") return;
  try {
    call.channel.send(text);
  } catch (error) {
    notice(`The message was not sent: ${error.message}`);
    return;
  }
  call.echoes.push({ text, sent: performance.now() });
  if (call.echoes.length > AWAITED_ECHOES) call.echoes.shift();
  chatLine("me", text, "sent");
}

// ---- Figures ----

async function showFigures() {
  const call = run?.call;
  if (!call) return;
  const stats = await call.pc.getStats();
  if (run?.call !== call) return;
  const now = performance.now();
  const seen = { at: now, frames: 0, packets: 0 };
  let size = "";
  let lost = 0;
  for (const item of stats.values()) {
    if (item.type === "candidate-pair" && item.nominated && item.currentRoundTripTime !== undefined) {
      // Chromium counts whole milliseconds: its nought is less than one.
      const ms = item.currentRoundTripTime * 1000;
      element("figure-rtt").textContent = ms < 1 ? "< 1 ms" : `${ms.toFixed(1)} ms`;
    } else if (item.type === "inbound-rtp" && item.kind === "video") {
      seen.frames += item.framesDecoded ?? 0;
      lost += item.packetsLost ?? 0;
      if (item.frameWidth) size = `${item.frameWidth} × ${item.frameHeight}`;
    } else if (item.type === "inbound-rtp" && item.kind === "audio") {
      seen.packets += item.packetsReceived ?? 0;
      lost += item.packetsLost ?? 0;
    }
  }
  const { last } = call;
  call.last = seen;
  if (!last) return;
  const seconds = (now - last.at) / 1000;
  element("figure-video").textContent = `${((seen.frames - last.frames) / seconds).toFixed(0)} / s`;
  element("figure-audio").textContent = `${((seen.packets - last.packets) / seconds).toFixed(0)} packets / s`;
  element("remote-detail").textContent = [size, lost > 0 ? `${lost} packets lost` : ""].filter(Boolean).join(", ") || "–";
}

// ---- Signaling ----

async function take(message) {
  switch (message.type) {
    case "joined":
      run.retry = FIRST_RETRY_MS;
      log(`joined room “${message.room}” as ${message.id}`);
      if (message.peers > 0) return offer();
      closeCall();
      return status("Waiting for the other side to join…", "working");
    case "offer":
      return answer(message.sdp);
    case "answer":
      if (run.call?.pc.signalingState !== "have-local-offer") return log("passing over an answer to no offer");
      await run.call.pc.setRemoteDescription({ type: "answer", sdp: message.sdp });
      return takeEarlyCandidates(run.call);
    case "ice-candidate":
      return takeCandidate(message.candidate);
    case "bye":
      closeCall();
      return status(`The other side has left${message.reason ? ` (${message.reason})` : ""}; waiting for the next.`, "working");
    case "error":
      if (message.code === "nobody-there") {
        closeCall();
        return status("The other side has just left; waiting for the next.", "working");
      }
      if (FATAL.has(message.code)) return stop(sentence(message.message), "failed");
      // The rest goes on.
      if (message.code === "no-media") return log(sentence(message.message), "problem");
      return status(`Signaling: ${message.message}`, "failed");
    default:
      return log(`passing over a message of type “${message.type}”`);
  }
}

const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;

function openSocket() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const socket = new WebSocket(`${scheme}://${location.host}/ws`);
  run.socket = socket;
  const current = () => run?.socket === socket;
  // One message after the other: a candidate must not overtake the description it belongs to.
  let queue = Promise.resolve();
  socket.onopen = () => {
    const room = element("room").value.trim();
    say(room ? { type: "join", room } : { type: "join" });
  };
  socket.onmessage = ({ data }) => {
    queue = queue.then(async () => {
      if (!current()) return;
      try {
        await take(JSON.parse(data));
      } catch (error) {
        if (current()) status(`The handshake failed: ${error.message}`, "failed");
      }
    });
  };
  socket.onclose = ({ code }) => {
    // After what is in the queue: the last message may be the reason.
    queue.then(() => {
      if (!current()) return;
      if (code === 1000) return stop("The other side has ended the session.", "idle");
      const wait = run.retry;
      run.retry = Math.min(2 * wait, LAST_RETRY_MS);
      status(`The server is away; trying again in ${wait / 1000} s…`, "working");
      run.timer = setTimeout(openSocket, wait);
    });
  };
}

// ---- Start and stop ----

async function start() {
  if (run) return;
  const mine = { retry: FIRST_RETRY_MS, media: null, socket: null, call: null, timer: 0, figures: 0 };
  run = mine;
  showRunning(true);
  notice("");
  const source = document.querySelector("input[name=source]:checked").value;
  status(source === "camera" ? "Asking for the camera…" : "Drawing the test pattern…", "working");
  let media;
  try {
    media = await openMedia(source);
  } catch (error) {
    if (run === mine) stop(`There is nothing to send: ${error.message}`, "failed");
    return;
  }
  // Stop was pressed meanwhile.
  if (run !== mine) return media.end();
  run.media = media;
  for (const track of media.stream.getTracks()) {
    track.onended = () => notice(`The ${track.kind === "video" ? "camera" : "microphone"} has ended; press Stop, then Start.`);
  }
  element("local").srcObject = media.stream;
  element("local").play().catch(() => {});
  const { width, height } = media.stream.getVideoTracks()[0].getSettings();
  element("local-detail").textContent = width ? `${width} × ${height}` : "";
  status("Connecting to the server…", "working");
  run.figures = setInterval(showFigures, 1000);
  openSocket();
}

function stop(text = "Stopped.", state = "idle") {
  if (!run) return;
  say({ type: "bye", reason: "stopped" });
  closeCall();
  const { socket, media, timer, figures } = run;
  run = null;
  clearTimeout(timer);
  clearInterval(figures);
  socket?.close(1000);
  media?.end();
  element("local").srcObject = null;
  element("local-detail").textContent = "";
  showRunning(false);
  status(text, state);
}

element("controls").addEventListener("submit", (event) => {
  event.preventDefault();
  start();
});
element("stop").addEventListener("click", () => stop());
element("chat-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sendMessage(element("message").value);
  element("message").value = "";
});
element("unmute").addEventListener("click", () => {
  element("remote").muted = false;
  element("remote").play().catch(() => {});
  element("unmute").hidden = true;
});
// A tone that was started without a click is silent until there is one.
document.addEventListener("click", () => run?.media?.resume());
addEventListener("pagehide", () => stop("Left the page."));

if (query.get("room")) element("room").value = query.get("room");
const asked = query.get("source");
if (asked === "pattern" || asked === "camera") document.querySelector(`input[value=${asked}]`).checked = true;
window.pc = null;
window.chat = null;
if (query.get("autostart") === "1") start();
