// The list of chats: the newest first, or those in which words were found.

import { batch, signal } from "@preact/signals";

import { callJson } from "./server.js";

const PAGE = 40;
const SEARCH_MS = 250;

export const sessions = signal([]);
export const hasMore = signal(false);
export const listProblem = signal("");
export const words = signal("");

const channel = "BroadcastChannel" in globalThis ? new BroadcastChannel("nanobot.sessions") : null;
let latest = 0;
let timer = 0;

async function read(after) {
  const number = ++latest;
  const query = new URLSearchParams({ limit: PAGE });
  if (words.value.trim()) query.set("q", words.value.trim().slice(0, 256));
  if (after) query.set("after", after);
  try {
    const page = await callJson(`v1/sessions?${query}`);
    if (number !== latest) return;
    batch(() => {
      sessions.value = after ? [...sessions.value, ...page.data] : page.data;
      hasMore.value = page.has_more;
      listProblem.value = "";
    });
  } catch (problem) {
    if (number !== latest) return;
    listProblem.value = problem.status === 403 ? "This API key may not list chats." : problem.message;
  }
}

export const refresh = () => read(null);
export const more = () => read(sessions.value.at(-1)?.id);

export function search(text) {
  words.value = text;
  clearTimeout(timer);
  timer = setTimeout(refresh, SEARCH_MS);
}

// Something in the list has changed, by what this tab did or saw.
export function changed() {
  refresh();
  channel?.postMessage("changed");
}

channel?.addEventListener("message", () => { if (!document.hidden) refresh(); });
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
