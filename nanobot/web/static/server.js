// Calls to the server this page came from, and its errors in words.

import { signal } from "@preact/signals";

import { device, tab } from "./storage.js";

// Relative to the page, so that it works behind a proxy that serves it under a path.
const BASE = new URL(".", document.baseURI);
const KEY = "nanobot.key";

export const apiKey = signal(device.get(KEY) ?? tab.get(KEY) ?? "");
export const isKeyRemembered = () => device.get(KEY) !== null;
// Whether the server has refused a request for want of a (valid) key; set by `call`.
export const keyNeeded = signal(false);

export function useKey(key, { remember }) {
  device.set(KEY, (remember && key) || null);
  tab.set(KEY, (!remember && key) || null);
  apiKey.value = key;
  keyNeeded.value = false;
}

// `status` 0: no answer came. `retryAfter`: seconds, where the server said so.
export class Problem extends Error {
  constructor(message, { status = 0, code = "", retryAfter = null } = {}) {
    super(message);
    Object.assign(this, { status, code, retryAfter });
  }

  // Whether the same request may well work in a moment.
  get isPassing() {
    if (this.status === 429) return this.retryAfter !== null && this.retryAfter <= 60;
    return [0, 502, 503, 504].includes(this.status);
  }
}

// Headers carry bytes; the server reads those of a session key as UTF-8.
export const headerText = (text) => String.fromCharCode(...new TextEncoder().encode(text));

export const sessionPath = (key, rest = "") => `v1/sessions/${encodeURIComponent(key)}${rest}`;

// Return the response; throw a Problem where it is an error. `json`: a body.
export async function call(path, { method = "GET", json, body, headers = {}, signal: abort } = {}) {
  const sent = { ...headers };
  if (apiKey.value) sent.authorization = `Bearer ${headerText(apiKey.value)}`;
  if (json !== undefined) {
    body = JSON.stringify(json);
    sent["content-type"] = "application/json";
  }
  let response;
  try {
    response = await fetch(new URL(path, BASE), { method, body, headers: sent, signal: abort, cache: "no-store" });
  } catch (error) {
    if (abort?.aborted) throw error;
    throw new Problem(navigator.onLine ? "The server cannot be reached." : "You are offline.");
  }
  if (response.ok) return response;
  throw await problemOf(response);
}

export const callJson = async (path, options) => (await call(path, options)).json();

async function problemOf(response) {
  const { status } = response;
  let said = {};
  try {
    said = (await response.json()).error ?? {};
  } catch { /* a proxy answered: its page says nothing that helps */ }
  const seconds = Number(response.headers.get("retry-after") ?? NaN);
  const retryAfter = Number.isFinite(seconds) ? Math.ceil(seconds) : null;
  if (status === 401) keyNeeded.value = true;
  return new Problem(inWords(status, said, retryAfter), { status, code: said.code ?? "", retryAfter });
}

function inWords(status, said, retryAfter) {
  const reason = said.message ? sentence(said.message) : "";
  const wait = retryAfter && !/try again/i.test(reason) ? ` Try again in ${duration(retryAfter)}.` : "";
  if (status === 401) return apiKey.value ? "The API key is not valid here." : "This server needs an API key.";
  if (status === 403) return reason || "This API key may not do that.";
  if (status === 413) return `That is too large. ${reason || "A proxy in front of the server refused it."}`;
  if (status === 429) return `Too much at once. ${reason}${wait}`;
  if (status === 502 || status === 503 || status === 504) return `No answer can be had right now. ${reason}${wait}`;
  return reason || `The server answered with the status ${status}.`;
}

// A first word that is a name, such as that of a model, stays as it is.
const sentence = (text) =>
  text.replace(/^[a-z](?=[a-z'’-]* )/, (first) => first.toUpperCase()) + (/[.!?]$/.test(text) ? "" : ".");

function duration(seconds) {
  if (seconds < 90) return `${seconds} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

// The error of a turn, as the server tells it in events and responses.
export const turnError = (error) =>
  error?.message ? sentence(error.message) : "The answer failed.";

// Server-sent events -----------------------------------------------------------------------------------------

// Yield the events of a response as lists, one for each piece that came; empty where it was a comment. Lines are read one by one: ids, names
// and comments stand between the data.
export async function* serverEvents(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let event = { name: "", data: "", id: "" };
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    const events = [];
    for (const each of lines) {
      const line = each.endsWith("\r") ? each.slice(0, -1) : each;
      if (line === "") {
        if (event.data) events.push(event);
        event = { name: "", data: "", id: "" };
        continue;
      }
      if (line.startsWith(":")) continue;
      const colon = line.indexOf(":");
      const field = colon < 0 ? line : line.slice(0, colon);
      const content = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
      if (field === "event") event.name = content;
      else if (field === "data") event.data += (event.data && "\n") + content;
      else if (field === "id") event.id = content;
    }
    yield events;
  }
}
