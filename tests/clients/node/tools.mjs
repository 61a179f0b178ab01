import assert from "node:assert/strict";
import test from "node:test";
import { z } from "zod";
import { asking, collect, connect, results, weather, zod } from "./client.mjs";

const model = "nanobot";
const cities = (message) => message.tool_calls.map((call) => JSON.parse(call.function.arguments).city);
const Person = z.object({ name: z.string(), age: z.number().int() });

test("a tool is called and its result used", async () => {
  const client = connect();
  const messages = asking("What is the weather in Paris?");
  const first = await client.chat.completions.create({ model, messages, tools: [weather] });
  assert.equal(first.choices[0].finish_reason, "tool_calls");
  const { message } = first.choices[0];
  assert.deepEqual(cities(message), ["Paris"]);
  messages.push(message, ...results(message));
  const last = await client.chat.completions.create({ model, messages, tools: [weather] });
  assert.equal(last.choices[0].message.content, "The tools said: sunny 0");
  assert.equal(last.choices[0].finish_reason, "stop");
});

test("the results alone are enough", async () => {
  const client = connect();
  const first = await client.chat.completions.create({ model, messages: asking("The weather in Paris and Tokyo?"), tools: [weather] });
  const { message } = first.choices[0];
  assert.deepEqual(cities(message), ["Paris", "Tokyo"]);
  const last = await client.chat.completions.create({ model, messages: results(message), tools: [weather] });
  assert.equal(last.choices[0].message.content, "The tools said: sunny 0; sunny 1");
});

test("a streamed call adds up", async () => {
  const client = connect();
  const messages = asking("The weather in Paris and Tokyo?");
  const stream = client.chat.completions.stream({ model, messages, tools: [weather] });
  const message = (await stream.finalChatCompletion()).choices[0].message;
  assert.deepEqual(cities(message), ["Paris", "Tokyo"]);
  messages.push(message, ...results(message));
  const chunks = await collect(await client.chat.completions.create({ model, messages, tools: [weather], stream: true }));
  assert.equal(chunks.map((chunk) => chunk.choices[0].delta.content ?? "").join(""), "The tools said: sunny 0; sunny 1");
});

test("one call at a time where the client wants it", async () => {
  const answer = await connect().chat.completions.create({
    model,
    messages: asking("The weather in Paris and Tokyo?"),
    tools: [weather],
    parallel_tool_calls: false,
  });
  assert.equal(answer.choices[0].message.tool_calls.length, 1);
});

test("no call where the client wants none", async () => {
  const answer = await connect().chat.completions.create({
    model,
    messages: asking("The weather in Paris?"),
    tools: [weather],
    tool_choice: "none",
  });
  assert.equal(answer.choices[0].message.content, "You said: The weather in Paris?");
});

test("a call where the client wants one", async () => {
  const answer = await connect().chat.completions.create({
    model,
    messages: asking("Hello dear Rome"),
    tools: [weather],
    tool_choice: { type: "function", function: { name: "get_weather" } },
  });
  assert.deepEqual(cities(answer.choices[0].message), ["Rome"]);
});

test("the tool runner of the package goes all the way", async () => {
  const runner = connect().chat.completions.runTools({
    model,
    messages: asking("The weather in Paris?"),
    tools: [
      zod.zodFunction({
        name: "get_weather",
        parameters: z.object({ city: z.string() }),
        function: ({ city }) => `sunny in ${city}`,
      }),
    ],
  });
  assert.equal(await runner.finalContent(), "The tools said: sunny in Paris");
});

test("the streaming tool runner of the package goes all the way", async () => {
  const runner = connect().chat.completions.runTools({
    model,
    stream: true,
    messages: asking("The weather in Paris?"),
    tools: [
      zod.zodFunction({
        name: "get_weather",
        parameters: z.object({ city: z.string() }),
        function: ({ city }) => `sunny in ${city}`,
      }),
    ],
  });
  assert.equal(await runner.finalContent(), "The tools said: sunny in Paris");
});

test("an answer is parsed by a zod schema", async () => {
  const answer = await connect().chat.completions.parse({
    model,
    messages: asking("My friend Ada is 36"),
    response_format: zod.zodResponseFormat(Person, "person"),
  });
  assert.deepEqual(answer.choices[0].message.parsed, { name: "Ada", age: 36 });
});

test("a streamed answer is parsed by a zod schema", async () => {
  const stream = connect().chat.completions.stream({
    model,
    messages: asking("My friend Ada is 36"),
    response_format: zod.zodResponseFormat(Person, "person"),
  });
  assert.deepEqual((await stream.finalChatCompletion()).choices[0].message.parsed, { name: "Ada", age: 36 });
});

test("a JSON object without a schema", async () => {
  const answer = await connect().chat.completions.create({
    model,
    messages: asking("As JSON: hi"),
    response_format: { type: "json_object" },
  });
  assert.deepEqual(JSON.parse(answer.choices[0].message.content), { said: "As JSON: hi" });
});
