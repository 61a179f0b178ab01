// Messages on their way to the server. Each has an idempotency key and is kept until its turn has ended, so that it
// can be sent again, also after a reload: the server runs it once.

import { signal } from "@preact/signals";

import { newId, shown } from "./content.js";
import { call, sessionPath } from "./server.js";
import { tab } from "./storage.js";

const KEPT = "nanobot.outbox";
const LONGEST_WAIT_MS = 30_000;

// `state`: sending, waiting (it will be sent again), accepted (the server has it), failed.
export const outbox = signal(restored());

function restored() {
  try {
    return JSON.parse(tab.get(KEPT) ?? "[]").map((item) => (
      { ...item, state: item.turnId ? "accepted" : "sending", note: "" }));
  } catch {
    return [];
  }
}

function keep(items) {
  outbox.value = items;
  tab.set(KEPT, JSON.stringify(items));
}

export function change(id, changes) {
  keep(outbox.value.map((item) => (item.id === id ? { ...item, ...changes } : item)));
}

export const find = (id) => outbox.value.find((item) => item.id === id);

export function discard(id) {
  keep(outbox.value.filter((item) => item.id !== id));
}

// Put a message into the outbox. `rewindTo`: the message after which it is to stand; `begins`: it is to be the
// first one of its session, whatever stands there now. `id`: of a message that several tabs may send, which is one.
export function put(session, content, { model, rewindTo = null, begins = false, id = `page-${newId()}` } = {}) {
  const item = {
    id, session, content, model, rewindTo, begins, turnId: null, state: "sending", note: "",
  };
  keep([...outbox.value, item]);
  return item;
}

// The same message, as another try of its own.
export function renew(id) {
  const item = { ...find(id), id: `page-${newId()}`, turnId: null, state: "sending", note: "" };
  keep(outbox.value.map((each) => (each.id === id ? item : each)));
  return item;
}

const underWay = new Map();

// Send the item until the server has it; return the response, or null where it was discarded or refused.
export function deliver(id) {
  if (!underWay.has(id)) underWay.set(id, post(id).finally(() => underWay.delete(id)));
  return underWay.get(id);
}

// What a reload interrupted goes out even if its chat is not the one that is open.
export function deliverOthers(session) {
  for (const item of outbox.value) {
    if (item.session !== session && item.state === "sending") deliver(item.id).catch(() => {});
  }
}

async function post(id) {
  let waitMs = 1000;
  for (;;) {
    const item = find(id);
    if (item === undefined) return null;
    change(id, { state: "sending", note: "" });
    try {
      if (item.rewindTo !== null) {
        await call(sessionPath(item.session, "/rewind"), { method: "POST", json: { message_id: item.rewindTo } });
        // Noted before the message goes out: a second rewind would put what has been answered aside.
        change(id, { rewindTo: null });
      }
      const response = await call("v1/responses", {
        method: "POST",
        headers: { "idempotency-key": id, ...(item.begins ? { "x-history-mode": "whole" } : {}) },
        // In the background: the turn then runs to its end, whatever becomes of this page.
        json: {
          model: item.model ?? "nanobot",
          conversation: item.session,
          background: true,
          input: [{ role: "user", content: item.content }],
        },
      });
      change(id, { state: "accepted", turnId: response.headers.get("x-turn-id") });
      return await response.json();
    } catch (problem) {
      if (problem.status === undefined) throw problem;
      if (!problem.isPassing) {
        change(id, { state: "failed", note: inWords(problem, item) });
        return null;
      }
      if (problem.retryAfter !== null) waitMs = problem.retryAfter * 1000;
      const when = waitMs < 2000 ? "" : ` It is sent again in ${Math.round(waitMs / 1000)} s.`;
      change(id, { state: "waiting", note: `Not sent yet: ${problem.message}${when}` });
      await pause(waitMs);
      waitMs = Math.min(2 * waitMs, LONGEST_WAIT_MS);
    }
  }
}

function inWords(problem, item) {
  if (problem.code === "session_busy") return "Not sent: an answer is still being written here. Stop it first.";
  if (["session_not_found", "conversation_not_found"].includes(problem.code)) {
    return `Not sent: this API key may not use the chat “${item.session}”. `
      + "The settings say what the names of new chats begin with.";
  }
  return `Not sent: ${problem.message}`;
}

// Wait, but not for longer than until the network is back.
export function pause(ms) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener("online", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    addEventListener("online", done);
  });
}

export const titleOf = (content) => {
  const { text, files } = shown(content);
  const line = (text.trim() || files[0]?.name || "").split("\n")[0].trim();
  return line.length > 60 ? `${line.slice(0, 59).trimEnd()}…` : line;
};
