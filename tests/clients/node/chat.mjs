import assert from "node:assert/strict";
import test from "node:test";
import { asking, collect, connect, openai } from "./client.mjs";

const model = "nanobot";

test("a question is answered", async () => {
  const answer = await connect().chat.completions.create({ model, messages: asking("Hello, who are you?") });
  const [choice] = answer.choices;
  assert.equal(choice.message.content, "You said: Hello, who are you?");
  assert.equal(choice.message.refusal, null);
  assert.equal(choice.finish_reason, "stop");
  assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
  assert.ok(answer._request_id);
});

test("a client that sends one message a time is remembered", async () => {
  const client = connect();
  await client.chat.completions.create({ model, messages: asking("My cat is Mia") });
  const seen = await client.chat.completions.create({ model, messages: asking("What do you see?") });
  assert.match(seen.choices[0].message.content, /roles system user assistant user;.*said My cat is Mia \| What do you see\?$/);
});

test("a client that resends everything is not heard twice", async () => {
  const client = connect();
  const messages = asking("My cat is Mia");
  messages.push((await client.chat.completions.create({ model, messages })).choices[0].message);
  messages.push(...asking("What do you see?"));
  const seen = await client.chat.completions.create({ model, messages });
  assert.match(seen.choices[0].message.content, /roles system user assistant user;.*said My cat is Mia \| What do you see\?$/);
});

test("a stream adds up and ends with the usage", async () => {
  const stream = await connect().chat.completions.create({
    model,
    messages: asking("Hello, who are you?"),
    stream: true,
    stream_options: { include_usage: true },
  });
  const chunks = await collect(stream);
  assert.equal(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join(""), "You said: Hello, who are you?");
  assert.equal(chunks.at(-2).choices[0].finish_reason, "stop");
  assert.ok(chunks.at(-1).usage.total_tokens > 0);
});

test("the stream helper adds the same answer up", async () => {
  const stream = connect().chat.completions.stream({ model, messages: asking("Hello, who are you?") });
  let said = "";
  stream.on("content", (delta) => (said += delta));
  assert.equal(await stream.finalContent(), "You said: Hello, who are you?");
  assert.equal(said, "You said: Hello, who are you?");
});

test("models are listed and looked up", async () => {
  const client = connect();
  const models = await collect(client.models.list());
  assert.deepEqual(
    models.map((each) => each.id),
    [model],
  );
  assert.equal((await client.models.retrieve(model)).object, "model");
});

const failures = {
  NotFoundError: { model: "gpt-9" },
  BadRequestError: { temperature: 7 },
  RateLimitError: { messages: asking("status 429") },
  InternalServerError: { messages: asking("status 503") },
};

for (const [name, fields] of Object.entries(failures)) {
  test(`failures are the package's own: ${name}`, async () => {
    const failing = connect().chat.completions.create({ model, messages: asking("Hello"), ...fields });
    await assert.rejects(failing, (error) => {
      assert.ok(error instanceof openai[name], `${error}`);
      assert.ok(error.code);
      assert.ok(error.requestID);
      return true;
    });
  });
}

test("a request without a session says what is missing", async () => {
  const failing = connect({ headers: { "x-session-key": null } }).chat.completions.create({ model, messages: asking("Hello") });
  await assert.rejects(failing, /Missing required header: x-session-key/);
});

test("a request with the same idempotency key is answered from the store", async () => {
  const client = connect();
  const once = { headers: { "Idempotency-Key": "order-1" } };
  const first = await client.chat.completions.create({ model, messages: asking("Hello") }, once);
  const again = await client.chat.completions.create({ model, messages: asking("Hello") }, once);
  assert.equal(first.id, again.id);
  assert.equal(first.choices[0].message.content, again.choices[0].message.content);
  await assert.rejects(client.chat.completions.create({ model, messages: asking("Bye") }, once), openai.UnprocessableEntityError);
});

test("an answer lost on the way is fetched by the package's own retry", async () => {
  let tries = 0;
  const losing = async (url, init) => {
    const response = await fetch(url, init);
    tries += 1;
    if (tries > 1) return response;
    await response.text();
    throw new TypeError("the connection broke");
  };
  const client = connect({ fetch: losing, maxRetries: 2 });
  await client.chat.completions.create({ model, messages: asking("My cat is Mia") });
  assert.equal(tries, 2);
  const seen = await client.chat.completions.create({ model, messages: asking("What do you see?") });
  assert.match(seen.choices[0].message.content, /said My cat is Mia \| What do you see\?$/);
});
