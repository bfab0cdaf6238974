// fal's own client against the emulator: argv[2] is the emulator's URL, argv[3] a picture.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";

import { fal } from "@fal-ai/client";

const EMULATOR = process.argv[2];
const MODEL = "fal-ai/kling-video/o1/image-to-video";

fal.config({
  credentials: "test",
  requestMiddleware: async (request) => ({
    ...request,
    url: request.url.replace("https://", `${EMULATOR}/`),
  }),
});

const digest = (bytes) => createHash("sha256").update(bytes).digest("hex");

async function download(url) {
  const answer = await fetch(url);
  return { status: answer.status, sha256: digest(Buffer.from(await answer.arrayBuffer())) };
}

async function subscribe(mode) {
  const statuses = [];
  // The client uploads the picture itself.
  const start_image_url = new Blob([await readFile(process.argv[3])], { type: "image/png" });
  const { data, requestId } = await fal.subscribe(MODEL, {
    input: { prompt: `Snow melts (${mode}).`, start_image_url },
    mode,
    pollInterval: 20,
    logs: true,
    onQueueUpdate: ({ status }) => statuses.push(status),
  });
  return { requestId, last: statuses.at(-1), clip: await download(data.video.url) };
}

async function refused() {
  try {
    await fal.subscribe(MODEL, { input: { prompt: "no picture" }, pollInterval: 20 });
  } catch (error) {
    return { name: error.name, status: error.status, type: error.body.detail[0].type };
  }
}

async function inParts() {
  const bytes = new Uint8Array(91 * 1024 * 1024).fill(7);
  const url = await fal.storage.upload(new Blob([bytes], { type: "video/mp4" }));
  return { sent: digest(bytes), got: await download(url) };
}

const run = await fal.run(MODEL, {
  input: { prompt: "In one call.", start_image_url: "https://example.com/a.png" },
});

console.log(
  JSON.stringify({
    polling: await subscribe("polling"),
    streaming: await subscribe("streaming"),
    refused: await refused(),
    inParts: await inParts(),
    run: { requestId: run.requestId, clip: await download(run.data.video.url) },
  }),
);
