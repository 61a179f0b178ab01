// The conversation itself.

import { useComputed, useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";

import { Asking } from "./asking.js";
import { resent, shown } from "./content.js";
import { alternatives, liveEntries, storedEntries, writtenFiles } from "./entries.js";
import { html } from "./html.js";
import { MarkdownView } from "./markdown.js";
import { outbox } from "./outbox.js";
import { call, headerText } from "./server.js";

const NEAR_BOTTOM = 60;
// What a person scrolls with, and for how long what scrolls then is theirs, in ms.
const INPUTS = ["wheel", "touchstart", "touchmove", "pointerdown", "pointermove", "keydown"];
const INPUT_MS = 500;

export function Log({ chat, actions }) {
  const scroller = useRef(null);
  const content = useRef(null);
  const isAtBottom = useSignal(true);

  useLayoutEffect(() => {
    const place = scroller.current;
    let height = place.scrollHeight;
    let lastInput = -Infinity;
    const onResize = () => {
      height = place.scrollHeight;
      if (isAtBottom.peek()) place.scrollTop = height;
    };
    const observer = new ResizeObserver(onResize);
    observer.observe(content.current);
    observer.observe(place);
    const onInput = (event) => {
      // Over it without a button, the pointer scrolls nothing.
      if (event.type !== "pointermove" || event.buttons) lastInput = performance.now();
    };
    const onScroll = () => {
      const isNear = place.scrollHeight - place.scrollTop - place.clientHeight < NEAR_BOTTOM;
      // Blocks that grow or are drawn move the end away; that is nobody's wish to leave it.
      const isMeant = performance.now() - lastInput < INPUT_MS || place.scrollHeight === height;
      if (isNear || isMeant) isAtBottom.value = isNear;
      height = place.scrollHeight;
    };
    place.addEventListener("scroll", onScroll, { passive: true });
    for (const kind of INPUTS) place.addEventListener(kind, onInput, { passive: true });
    return () => {
      observer.disconnect();
      place.removeEventListener("scroll", onScroll);
      for (const kind of INPUTS) place.removeEventListener(kind, onInput);
    };
  }, [chat]);

  const earlier = async () => {
    const place = scroller.current;
    const fromBottom = place.scrollHeight - place.scrollTop;
    await actions.guarded(() => chat.earlier());
    requestAnimationFrame(() => { place.scrollTop = place.scrollHeight - fromBottom; });
  };
  const toEnd = () => { scroller.current.scrollTop = scroller.current.scrollHeight; };

  const turns = chat.turns.value;
  const entries = [
    ...storedEntries(chat.rows.value, new Set(turns.map((turn) => turn.id))),
    ...turns.flatMap(liveEntries),
  ];
  // Messages that were imported are of no turn, and so is one that is still on its way.
  const known = new Set([...chat.rows.value.map((row) => row.turn_id), ...turns.map((turn) => turn.id)].filter(Boolean));
  const items = outbox.value.filter((item) => item.session === chat.key
    && (item.state === "failed" || !known.has(item.turnId)));
  const isEmpty = !entries.length && !items.length;
  const newest = outbox.value.findLast((item) => item.session === chat.key)?.id;
  // Who writes wants to see what comes of it.
  useLayoutEffect(() => { if (newest) toEnd(); }, [newest]);

  return html`
    <div class="log-frame">
      <section class="log" ref=${scroller} tabindex="0" aria-label="Messages">
        <div class="messages" ref=${content}>
          ${chat.hasEarlier.value && html`<button class="quiet earlier" onClick=${earlier}>Show earlier messages</button>`}
          ${isEmpty && chat.state.value === "live" && html`<p class="empty">What can I do for you?</p>`}
          ${isEmpty && chat.state.value === "opening" && html`<p class="empty">Opening …</p>`}
          ${entries.map((entry) => html`
            <${entry.kind === "asked" ? Asked : Answer} key=${entry.key} entry=${entry} chat=${chat} actions=${actions} />`)}
          <${Asking} chat=${chat} actions=${actions} />
          ${items.map((item) => html`
            <${Pending} key=${item.id} item=${item} isShown=${known.has(item.turnId)} chat=${chat} actions=${actions} />`)}
        </div>
      </section>
      ${!isAtBottom.value && html`<button class="to-end" onClick=${toEnd}>Newest message ↓</button>`}
    </div>`;
}

// What was asked ---------------------------------------------------------------------------------------------

function Asked({ entry, chat, actions }) {
  const isEditing = useSignal(false);
  const said = shown(entry.content);
  const [row] = entry.rows;
  const edit = (text) => {
    isEditing.value = false;
    if (text.trim() === said.text.trim()) return;
    actions.guarded(() => chat.replace(row, resent(entry.content, text), actions.model()));
  };
  return html`
    <article class="asked">
      <h2 class="unseen">You</h2>
      ${isEditing.value
        ? html`<${Editor} text=${said.text} save=${edit} cancel=${() => { isEditing.value = false; }} />`
        : html`<${Said} said=${said} session=${chat.key} actions=${actions} />`}
      ${row && !isEditing.value && html`
        <${Tools} entry=${entry} chat=${chat} actions=${actions}>
          <button class="quiet" disabled=${chat.runningTurn !== null} onClick=${() => { isEditing.value = true; }}>Edit</button>
        <//>`}
    </article>`;
}

// Save a file of the session: an upload, or one that the agent has written.
const download = (id, name, session, actions) => actions.guarded(async () => {
  const path = `v1/files/${encodeURIComponent(id)}/content`;
  const response = await call(path, { headers: { "x-session-key": headerText(session) } });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = name.split("/").at(-1);
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
});

function Files({ files, session, actions }) {
  return html`<ul class="files">${files.map(({ id, name }) => html`
    <li>${id
      ? html`<button class="quiet" onClick=${() => download(id, name, session, actions)}
          aria-label=${`Download ${name}`}>${name} ↓</button>`
      : name}</li>`)}</ul>`;
}

function Said({ said, session, actions }) {
  return html`
    <div class="bubble">
      ${said.text && html`<p class="plain">${said.text}</p>`}
      ${said.pictures.map((picture) => (picture.src
        ? html`<img src=${picture.src} alt="Picture sent with this message" />`
        : html`<a href=${/^https?:/i.test(picture.href) ? picture.href : undefined} target="_blank"
            rel="noopener noreferrer nofollow">[picture: ${picture.href}]</a>`))}
      ${said.files.length > 0 && html`<${Files} files=${said.files} session=${session} actions=${actions} />`}
    </div>`;
}

function Editor({ text, save, cancel }) {
  const area = useRef(null);
  useEffect(() => { area.current.focus(); }, []);
  const onSubmit = (event) => {
    event.preventDefault();
    save(area.current.value);
  };
  const onKeyDown = (event) => {
    if (event.key === "Escape") cancel();
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) onSubmit(event);
  };
  return html`
    <form class="editor" onSubmit=${onSubmit}>
      <label class="unseen" for="edited">Your message</label>
      <textarea id="edited" ref=${area} dir="auto" rows=${Math.min(12, text.split("\n").length + 1)} defaultValue=${text}
        onKeyDown=${onKeyDown}></textarea>
      <p class="row"><button type="submit">Ask this instead</button>
        <button type="button" class="quiet" onClick=${cancel}>Cancel</button></p>
    </form>`;
}

// `isShown`: the message itself stands above, in the transcript.
function Pending({ item, isShown, chat, actions }) {
  const back = () => {
    actions.compose(shown(item.content).text);
    chat.discard(item.id);
  };
  return html`
    <article class="asked on-its-way">
      <h2 class="unseen">You</h2>
      ${!isShown && html`<${Said} said=${shown(item.content)} session=${chat.key} actions=${actions} />`}
      ${item.note && html`<p class="problem" role="alert">${item.note}</p>`}
      ${item.state !== "accepted" && html`<p class="row tools">
        ${item.state === "sending" && html`<span class="faint">Sending …</span>`}
        ${item.state === "failed" && html`<button class="quiet" onClick=${() => actions.guarded(() => chat.again(item.id))}>Try again</button>`}
        ${item.state === "failed" && html`<button class="quiet" onClick=${back}>Edit</button>`}
        ${item.state !== "sending" && html`<button class="quiet" onClick=${() => chat.discard(item.id)}>Discard</button>`}
      </p>`}
    </article>`;
}

// Answers ------------------------------------------------------------------------------------------------------

function Answer({ entry, chat, actions }) {
  const { turn } = entry;
  // Subscribes to the turn: this entry alone is drawn again while it comes.
  if (turn) turn.version.value;
  const isRunning = turn !== undefined && !turn.isOver;
  const steps = entry.steps;
  const counts = {};
  const keyOf = (type) => `${type}${counts[type] = (counts[type] ?? 0) + 1}`;
  const last = entry.rows.at(-1);
  const text = () => steps.filter((step) => step.type === "text").map((step) => step.text).join("\n\n");
  const files = writtenFiles(steps).map(({ id, filename }) => ({ id, name: filename }));
  // Links to files in the text are buttons.
  const onClick = ({ target }) => {
    const id = target.closest("button[data-file]")?.dataset.file;
    if (id) download(id, id, chat.key, actions);
  };
  const failure = turn?.error ?? chat.failures.value.get(entry.rows[0]?.turn_id);
  const isTold = failure && outbox.value.some((item) => item.turnId === (turn?.id ?? entry.rows[0]?.turn_id));
  const asked = askedBefore(chat.rows.value, entry.rows[0]);
  const again = () => actions.guarded(() =>
    chat.replace(asked, resent(asked.content, shown(asked.content).text), actions.model()));
  return html`
    <article class="answer" aria-busy=${isRunning ? "true" : "false"} onClick=${onClick}>
      <h2 class="unseen">nanobot</h2>
      ${steps.map((step, index) => html`
        <${Step} key=${keyOf(step.type)} step=${step} text=${step.text} result=${step.result} told=${step.told}
          isFinal=${!isRunning || step.isOpen !== true} isLast=${isRunning && index === steps.length - 1} />`)}
      ${isRunning && (steps.length === 0 || steps.at(-1).type === "tool" && steps.at(-1).result !== null) && html`
        <p class="faint waiting">${turn.isRunning ? "…" : "Waiting for the answer before this one …"}</p>`}
      ${files.length > 0 && html`<${Files} files=${files} session=${chat.key} actions=${actions} />`}
      ${failure && !isTold && html`<p class="problem">${failure}</p>`}
      ${last && html`
        <${Tools} entry=${entry} chat=${chat} actions=${actions} text=${text}>
          ${asked && html`<button class="quiet" disabled=${chat.runningTurn !== null} onClick=${again}>Answer again</button>`}
          <button class="quiet" onClick=${() => actions.fork(last.id)}>Fork</button>
        <//>`}
    </article>`;
}

function askedBefore(rows, row) {
  if (row === undefined) return null;
  for (let at = rows.indexOf(row) - 1; at >= 0; at -= 1) if (rows[at].role === "user") return rows[at];
  return null;
}

function Step({ step, text, result, told, isFinal, isLast }) {
  if (step.type === "text") return html`<${Markdown} text=${text} isFinal=${isFinal} />`;
  if (step.type === "model") return html`<p class="faint">Answered by ${step.name}.</p>`;
  if (step.type === "said") {
    return html`<div class="asked">${step.messages.map((message) => html`<div class="bubble"><p class="plain">${shown(message.content).text}</p></div>`)}</div>`;
  }
  if (step.type === "thinking") {
    return html`<details class="step"><summary>${isLast ? "Thinking …" : "Thought"}</summary><p class="plain">${text}</p></details>`;
  }
  const state = result === null ? (isLast ? " …" : "") : step.isError ? " failed" : "";
  return html`
    <details class="step tool"><summary>Tool <code>${step.name}</code>${state}</summary>
      <h3>Arguments</h3><pre tabindex="0">${step.arguments}</pre>
      ${result !== null && html`<h3>Result</h3><pre tabindex="0">${result}</pre>`}
    </details>
    ${result === null && told && html`<pre class="told" tabindex="0" aria-label="What it writes">${told}</pre>`}`;
}

function Markdown({ text, isFinal }) {
  const place = useRef(null);
  const view = useRef(null);
  useLayoutEffect(() => {
    view.current = new MarkdownView(place.current);
    return () => view.current.close();
  }, []);
  useLayoutEffect(() => { view.current.update(text, isFinal); }, [text, isFinal]);
  return html`<div class="markdown" ref=${place}></div>`;
}

// What can be done with an entry -------------------------------------------------------------------------------

function Tools({ entry, chat, actions, text, children }) {
  const others = useComputed(() =>
    alternatives(entry, chat.rows.value, chat.branches.value, chat.hasEarlier.value)).value;
  const isBusy = chat.runningTurn !== null;
  const go = (step) => actions.guarded(() => chat.switchTo(others.ids[others.at + step]));
  return html`
    <p class="row tools">
      ${others && html`<span class="branches" role="group" aria-label="Versions">
        <button class="quiet" disabled=${isBusy || others.at === 0} onClick=${() => go(-1)} aria-label="Previous version">‹</button>
        <span>${others.at + 1}/${others.ids.length}</span>
        <button class="quiet" disabled=${isBusy || others.at === others.ids.length - 1} onClick=${() => go(1)} aria-label="Next version">›</button>
      </span>`}
      ${text && html`<button class="quiet" onClick=${() => actions.copy(text())}>Copy</button>`}
      ${children}
    </p>`;
}
