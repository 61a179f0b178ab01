// Where messages are written, and files are added to them.

import { useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";

import { sizeInWords } from "./content.js";
import { html } from "./html.js";
import { call, headerText } from "./server.js";
import { tab } from "./storage.js";

const draftOf = (key) => `nanobot.draft.${key}`;

// What was written and not sent; `key` null: in a chat that has not begun.
export const draft = (key) => tab.get(draftOf(key ?? "new")) ?? "";
const isTouch = matchMedia("(pointer: coarse)").matches;

function fit(box) {
  box.style.height = "auto";
  box.style.height = `${Math.min(box.scrollHeight + 2, innerHeight * 0.4)}px`;
}

export function Composer({ chat, isUnsaved, text, files, actions }) {
  const area = useRef(null);
  const picker = useRef(null);
  const isRunning = chat.runningTurn !== null;
  const place = draftOf(isUnsaved ? "new" : chat.key);

  useEffect(() => {
    if (!isTouch) area.current.focus();
  }, [chat]);
  // Before the next frame: the page may be left right after the last letter.
  useLayoutEffect(() => {
    fit(area.current);
    tab.set(place, text.value || null);
  }, [text.value]);
  // A phone that is turned, a page that is zoomed: the same text needs another height.
  useEffect(() => {
    const again = () => fit(area.current);
    addEventListener("resize", again);
    return () => removeEventListener("resize", again);
  }, []);

  const isUploading = files.value.some((file) => file.state === "uploading");
  const ready = files.value.filter((file) => file.state === "ready");
  const canSend = !isUploading && (text.value.trim() !== "" || ready.length > 0);

  const send = (event) => {
    event?.preventDefault();
    if (!canSend) return;
    // Of the place where it was written: the first message of a chat gives it another.
    tab.set(place, null);
    actions.send([
      ...(text.value.trim() ? [{ type: "input_text", text: text.value }] : []),
      ...ready.map((file) => file.part),
    ]);
    for (const file of files.value) if (file.preview) URL.revokeObjectURL(file.preview);
    files.value = [];
    text.value = "";
    area.current.focus();
  };
  const onKeyDown = (event) => {
    // A key that ends the input of a character (in Chinese, say) sends nothing.
    if (event.key !== "Enter" || event.isComposing || event.shiftKey || (isTouch && !event.ctrlKey)) return;
    event.preventDefault();
    send();
  };
  const onPaste = (event) => {
    if (!event.clipboardData.files.length) return;
    event.preventDefault();
    attach(chat.key, files, event.clipboardData.files);
  };
  const onPick = () => {
    attach(chat.key, files, picker.current.files);
    picker.current.value = "";
  };

  return html`
    <form class="composer" onSubmit=${send} aria-label="New message">
      ${files.value.length > 0 && html`<ul class="attached">${files.value.map((file) => html`
        <li key=${file.number} class=${file.state}>
          ${file.preview && html`<img src=${file.preview} alt="" />`}
          <span>${file.name} <span class="faint">${file.state === "uploading" ? "…" : sizeInWords(file.size)}</span></span>
          ${file.problem && html`<span class="problem" role="alert">${file.problem}</span>`}
          <button type="button" class="quiet" aria-label=${`Remove ${file.name}`} onClick=${() => remove(files, file)}>×</button>
        </li>`)}</ul>`}
      <div class="line">
        <button type="button" class="quiet" onClick=${() => picker.current.click()} aria-label="Add files">+</button>
        <input type="file" multiple hidden ref=${picker} onChange=${onPick} aria-label="Files" tabindex="-1" />
        <label class="unseen" for="message">Message</label>
        <textarea id="message" ref=${area} rows="1" dir="auto" placeholder="Write a message" value=${text.value}
          enterkeyhint=${isTouch ? "enter" : "send"}
          onInput=${(event) => { text.value = event.currentTarget.value; }} onKeyDown=${onKeyDown} onPaste=${onPaste}></textarea>
        ${isRunning && html`<button type="button" class="stop" onClick=${() => chat.stop()}>Stop</button>`}
        <button type="submit" disabled=${!canSend}>Send</button>
      </div>
    </form>`;
}

// Files --------------------------------------------------------------------------------------------------------

let numbers = 0;

// Upload the files to the session; `files`: the signal with those of the message so far.
export function attach(session, files, chosen) {
  for (const file of chosen) upload(session, files, file);
}

async function upload(session, files, file) {
  const number = ++numbers;
  const isPicture = /^image\/(?:png|jpeg|gif|webp)$/.test(file.type);
  const entry = {
    number, name: file.name || "file", size: file.size, state: "uploading", problem: "", id: null, part: null,
    preview: isPicture ? URL.createObjectURL(file) : null,
  };
  const update = (changes) => {
    files.value = files.value.map((each) => (each.number === number ? { ...each, ...changes } : each));
  };
  files.value = [...files.value, entry];
  const body = new FormData();
  body.append("purpose", "user_data");
  body.append("file", file, entry.name);
  try {
    const response = await call("v1/files", {
      method: "POST", body, headers: { "x-session-key": headerText(session) },
    });
    const { id } = await response.json();
    const part = isPicture
      ? { type: "input_image", file_id: id }
      : { type: "input_file", file_id: id, filename: entry.name };
    update({ state: "ready", id, part });
  } catch (problem) {
    update({ state: "failed", problem: problem.message });
  }
}

function remove(files, file) {
  if (file.preview) URL.revokeObjectURL(file.preview);
  files.value = files.value.filter((each) => each.number !== file.number);
}
