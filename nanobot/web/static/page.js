// The page as a whole: which chat is open, and what can be done with it.

import { batch, effect, signal, useSignal } from "@preact/signals";
import { render } from "preact";
import { useEffect } from "preact/hooks";

import { Chat } from "./chat.js";
import { attach, Composer, draft } from "./composer.js";
import { newId } from "./content.js";
import { applyTheme, Ask, prefix, Settings, theme } from "./dialogs.js";
import { html } from "./html.js";
import { Log } from "./log.js";
import { deliverOthers } from "./outbox.js";
import { call, callJson, keyNeeded, sessionPath } from "./server.js";
import { changed, refresh } from "./sessions.js";
import { Sidebar } from "./sidebar.js";

const LONGEST_ANNOUNCED = 1000;

const chat = signal(null);
// A chat that was begun here and has no message yet; it has no address of its own.
const isUnsaved = signal(false);
const models = signal([]);
const model = signal("nanobot");
const text = signal("");
const files = signal([]);
const question = signal(null);
const showsSettings = signal(false);
const showsChats = signal(false);
const notice = signal("");
const spoken = signal("");

const keyInAddress = () => new URLSearchParams(location.hash.slice(1)).get("chat");

function announce(words) {
  spoken.value = words.slice(0, LONGEST_ANNOUNCED);
}

function show(key, { isNew = false } = {}) {
  if (!isNew && chat.value?.key === key) return;
  chat.value?.close();
  batch(() => {
    files.value = [];
    notice.value = "";
    text.value = draft(isNew ? null : key);
    isUnsaved.value = isNew;
    chat.value = new Chat(key, { isNew, announce, listChanged: changed });
    showsChats.value = false;
  });
}

function begin() {
  if (keyInAddress() !== null) history.pushState(null, "", location.pathname + location.search);
  show(prefix() + newId(), { isNew: true });
}

function route() {
  const key = keyInAddress();
  if (key) show(key);
  else if (!isUnsaved.value) begin();
}

// Run something that may fail, and say so.
async function guarded(run) {
  notice.value = "";
  try {
    return await run();
  } catch (problem) {
    notice.value = problem.code === "session_busy"
      ? "An answer is still being written here. Stop it first." : problem.message;
    return undefined;
  }
}

const actions = {
  guarded,
  model: () => (models.value.length > 1 ? model.value : "nanobot"),
  send(content) {
    if (isUnsaved.value) {
      isUnsaved.value = false;
      history.pushState(null, "", `#chat=${encodeURIComponent(chat.value.key)}`);
    }
    announce("Sent.");
    chat.value.send(content, { model: actions.model() });
  },
  compose(words) {
    text.value = words;
    document.getElementById("message")?.focus();
  },
  async copy(words) {
    await guarded(() => copied(words));
    announce("Copied.");
  },
  fork: (messageId) => guarded(async () => {
    const key = prefix() + newId();
    const json = { key, ...(messageId ? { message_id: messageId } : {}) };
    await call(sessionPath(chat.value.key, "/fork"), { method: "POST", json });
    changed();
    location.hash = `chat=${encodeURIComponent(key)}`;
    announce("This is the copy.");
  }),
  rename() {
    const { key, session } = chat.value;
    const done = (title) => guarded(async () => {
      await call(sessionPath(key), { method: "POST", json: { title: title || null } });
      await chat.value.reload();
      changed();
    });
    question.value = { kind: "rename", title: session.value?.title ?? "", done };
  },
  remove() {
    const { key, session } = chat.value;
    const done = () => guarded(async () => {
      await call(sessionPath(key), { method: "DELETE" });
      begin();
      changed();
    });
    question.value = { kind: "delete", title: session.value?.title ?? key, done };
  },
};

async function copied(words) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(words);
    return;
  }
  // Without HTTPS there is no clipboard but this way.
  const area = document.createElement("textarea");
  area.value = words;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

// Views --------------------------------------------------------------------------------------------------------

function Head() {
  const { session, problem, state, isNew } = chat.value;
  const title = session.value?.title ?? (isNew.value || isUnsaved.value ? "New chat" : chat.value.key);
  useEffect(() => { document.title = `${title} – nanobot`; }, [title]);
  return html`
    <header class="head">
      <button class="quiet menu" aria-expanded=${showsChats.value ? "true" : "false"} aria-controls="chats"
        onClick=${() => { showsChats.value = !showsChats.value; }}>Chats</button>
      <h1 dir="auto">${title}</h1>
      ${models.value.length > 1 && html`<label><span class="unseen">Model</span><select onChange=${(event) => { model.value = event.currentTarget.value; }}>
        ${models.value.map((each) => html`<option value=${each} selected=${each === model.value}>${each}</option>`)}</select></label>`}
      ${session.value && html`<div class="row">
        <button class="quiet" onClick=${actions.rename}>Rename</button>
        <button class="quiet" onClick=${() => actions.fork(null)}>Fork</button>
        <button class="quiet" onClick=${actions.remove}>Delete</button>
      </div>`}
    </header>
    ${state.value === "broken" && html`<p class="banner" role="status">The connection is lost. The server goes on with its answer; this page comes back to it by itself.</p>`}
    ${problem.value && state.value !== "broken" && html`<p class="banner problem" role="alert">${problem.value}</p>`}
    ${notice.value && html`<p class="banner problem" role="alert">${notice.value}
      <button class="quiet" onClick=${() => { notice.value = ""; }} aria-label="Close this notice">×</button></p>`}`;
}

function App() {
  const isDragging = useSignal(false);
  if (chat.value === null) return null;
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  const onDragOver = (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    isDragging.value = true;
  };
  const onDrop = (event) => {
    isDragging.value = false;
    if (!hasFiles(event)) return;
    event.preventDefault();
    attach(chat.value.key, files, event.dataTransfer.files);
  };
  const onDragLeave = (event) => { if (event.relatedTarget === null) isDragging.value = false; };
  const onKeyDown = (event) => { if (event.key === "Escape" && showsChats.value) showsChats.value = false; };
  return html`
    <div class=${`page${showsChats.value ? " shows-chats" : ""}${isDragging.value ? " dragging" : ""}`}
      onDragOver=${onDragOver} onDrop=${onDrop} onDragLeave=${onDragLeave} onKeyDown=${onKeyDown}>
      <a class="skip" href="#message" onClick=${(event) => {
        event.preventDefault();
        document.getElementById("message").focus();
      }}>Go to the message field</a>
      <${Sidebar} current=${isUnsaved.value ? null : chat.value.key} begin=${begin}
        open=${() => { showsChats.value = false; }} showSettings=${() => { showsSettings.value = true; }} />
      <div class="backdrop" onClick=${() => { showsChats.value = false; }}></div>
      <main>
        <${Head} />
        <${Log} key=${chat.value.key} chat=${chat.value} actions=${actions} />
        <${Composer} key=${chat.value.key} chat=${chat.value} isUnsaved=${isUnsaved.value} text=${text} files=${files} actions=${actions} />
      </main>
      <div class="unseen" role="status" aria-live="polite">${spoken.value}</div>
      ${question.value && html`<${Ask} what=${question.value} close=${() => { question.value = null; }} />`}
      ${showsSettings.value && html`<${Settings} close=${() => { showsSettings.value = false; }} changed=${start} />`}
    </div>`;
}

// Start --------------------------------------------------------------------------------------------------------

async function start() {
  const key = isUnsaved.value ? null : chat.value?.key;
  // With another API key, all is asked for again.
  chat.value?.close();
  chat.value = null;
  isUnsaved.value = false;
  if (key) show(key);
  else route();
  deliverOthers(chat.value.key);
  refresh();
  try {
    models.value = (await callJson("v1/models")).data.map((each) => each.id);
  } catch { /* the list of chats says what is wrong */ }
}

applyTheme(theme());
effect(() => { if (keyNeeded.value) showsSettings.value = true; });
addEventListener("hashchange", route);
addEventListener("popstate", route);
document.addEventListener("click", (event) => {
  const button = event.target.closest?.(".copy-code");
  if (button) actions.copy(button.parentElement.querySelector("pre").textContent);
});
render(html`<${App} />`, document.getElementById("page"));
start();
