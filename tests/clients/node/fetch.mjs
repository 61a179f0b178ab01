// No package at all: what every JavaScript has.
import assert from "node:assert/strict";
import test from "node:test";
import { address, asking } from "./client.mjs";

const ask = (body, headers) =>
  fetch(`${address}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ model: "nanobot", ...body }),
  });

test("fetch gets an answer", async () => {
  const response = await ask({ messages: asking("Hello") }, { "x-session-key": "fetch:dm:one" });
  assert.equal(response.status, 200);
  assert.equal((await response.json()).choices[0].message.content, "You said: Hello");
});

test("fetch reads a stream line by line", async () => {
  const response = await ask({ messages: asking("Hello"), stream: true }, { "x-session-key": "fetch:dm:two" });
  assert.match(response.headers.get("content-type"), /^text\/event-stream/);
  let said = "";
  let rest = "";
  let ended = false;
  for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + piece).split("\n");
    rest = lines.pop();
    for (const line of lines.filter((each) => each.startsWith("data: "))) {
      if (line === "data: [DONE]") ended = true;
      else said += JSON.parse(line.slice(6)).choices[0]?.delta.content ?? "";
    }
  }
  assert.equal(said, "You said: Hello");
  assert.ok(ended);
});

test("fetch is told what is wrong", async () => {
  const response = await ask({ messages: asking("Hello") }, {});
  assert.equal(response.status, 400);
  assert.equal((await response.json()).error.code, "missing_session_key");
});
