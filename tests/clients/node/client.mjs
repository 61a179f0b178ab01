// What the scenarios share: the package under test, and a client with a session of its own.
import { randomUUID } from "node:crypto";

const name = process.env.OPENAI_PACKAGE ?? "openai";
export const openai = await import(name);
export const zod = await import(`${name}/helpers/zod`);
export const address = process.env.NANOBOT_ADDRESS;

export function connect(options = {}) {
  const { headers, ...rest } = options;
  return new openai.default({
    baseURL: `${address}/v1`,
    apiKey: "unused",
    maxRetries: 0,
    defaultHeaders: { "x-session-key": `node:dm:${randomUUID()}`, ...headers },
    ...rest,
  });
}

export const asking = (content) => [{ role: "user", content }];

export const weather = {
  type: "function",
  function: {
    name: "get_weather",
    description: "Tell the weather of a city.",
    strict: true,
    parameters: {
      type: "object",
      properties: { city: { type: "string" } },
      required: ["city"],
      additionalProperties: false,
    },
  },
};

export const results = (message) =>
  message.tool_calls.map((call, number) => ({ role: "tool", tool_call_id: call.id, content: `sunny ${number}` }));

export async function collect(stream) {
  const all = [];
  for await (const item of stream) all.push(item);
  return all;
}

export const pixel =
  "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
