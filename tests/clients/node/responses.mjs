import assert from "node:assert/strict";
import test from "node:test";
import { z } from "zod";
import { collect, connect as connectTo, openai, weather as chatWeather, zod } from "./client.mjs";

const model = "nanobot";
const weather = { type: "function", ...chatWeather.function };
const connect = () => connectTo({ headers: { "x-session-key": null } });

test("a response is made, kept and deleted", async () => {
  const client = connect();
  const made = await client.responses.create({ model, input: "Hello, who are you?" });
  assert.equal(made.status, "completed");
  assert.equal(made.output_text, "You said: Hello, who are you?");
  assert.equal(made.usage.total_tokens, made.usage.input_tokens + made.usage.output_tokens);
  assert.equal((await client.responses.retrieve(made.id)).output_text, made.output_text);
  assert.equal((await collect(client.responses.inputItems.list(made.id))).length, 1);
  await client.responses.delete(made.id);
  await assert.rejects(client.responses.retrieve(made.id), openai.NotFoundError);
});

test("a response goes on from another", async () => {
  const client = connect();
  const first = await client.responses.create({ model, input: "My cat is Mia" });
  const second = await client.responses.create({ model, input: "What do you see?", previous_response_id: first.id });
  assert.match(second.output_text, /said My cat is Mia \| What do you see\?$/);
  const alone = await client.responses.create({ model, input: "What do you see?" });
  assert.match(alone.output_text, /said What do you see\?$/);
});

test("a stream has its events in order", async () => {
  const events = await collect(await connect().responses.create({ model, input: "Hello", stream: true }));
  assert.deepEqual(
    events.map((event) => event.sequence_number),
    events.map((_, index) => index),
  );
  assert.equal(events[0].type, "response.created");
  assert.equal(events.at(-1).type, "response.completed");
  const deltas = events.filter((event) => event.type === "response.output_text.delta").map((event) => event.delta);
  assert.equal(deltas.join(""), "You said: Hello");
});

test("the stream helper adds the same response up", async () => {
  const stream = connect().responses.stream({ model, input: "Hello" });
  assert.equal((await stream.finalResponse()).output_text, "You said: Hello");
});

test("function tools and their outputs", async () => {
  const client = connect();
  const first = await client.responses.create({ model, input: "The weather in Paris and Tokyo?", tools: [weather] });
  const calls = first.output.filter((item) => item.type === "function_call");
  assert.deepEqual(
    calls.map((call) => JSON.parse(call.arguments).city),
    ["Paris", "Tokyo"],
  );
  const input = calls.map((call) => ({ type: "function_call_output", call_id: call.call_id, output: "sunny" }));
  const last = await client.responses.create({ model, input, previous_response_id: first.id, tools: [weather] });
  assert.equal(last.output_text, "The tools said: sunny; sunny");
});

test("an answer is parsed by a zod schema", async () => {
  const Person = z.object({ name: z.string(), age: z.number().int() });
  const made = await connect().responses.parse({
    model,
    input: "My friend Ada is 36",
    text: { format: zod.zodTextFormat(Person, "person") },
  });
  assert.deepEqual(made.output_parsed, { name: "Ada", age: 36 });
});

test("a conversation is the session", async () => {
  const client = connect();
  const conversation = await client.conversations.create({ metadata: { topic: "cats" } });
  await client.responses.create({ model, input: "My cat is Mia", conversation: conversation.id });
  const second = await client.responses.create({ model, input: "What do you see?", conversation: conversation.id });
  assert.match(second.output_text, /said My cat is Mia \| What do you see\?$/);
  const items = await collect(client.conversations.items.list(conversation.id, { order: "asc" }));
  assert.deepEqual(
    items.map((item) => item.role),
    ["user", "assistant", "user", "assistant"],
  );
  await client.conversations.delete(conversation.id);
  await assert.rejects(client.conversations.retrieve(conversation.id), openai.NotFoundError);
});

test("a stream is taken up again where it broke", async () => {
  const client = connect();
  const events = await collect(await client.responses.create({ model, input: "Hello", stream: true }));
  const rest = await collect(await client.responses.retrieve(events[0].response.id, { stream: true, starting_after: 2 }));
  assert.equal(rest[0].sequence_number, 3);
  assert.equal(rest.at(-1).type, "response.completed");
});
