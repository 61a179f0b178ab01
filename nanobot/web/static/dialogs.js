// What is asked in between: a title, a confirmation, the settings.

import { useSignal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";

import { html } from "./html.js";
import { apiKey, isKeyRemembered, keyNeeded, useKey } from "./server.js";
import { device } from "./storage.js";

export const THEMES = { auto: "As the system", light: "Light", dark: "Dark" };
const THEME = "nanobot.theme";
const PREFIX = "nanobot.prefix";

export const theme = () => device.get(THEME) ?? "auto";

export function applyTheme(name) {
  device.set(THEME, name === "auto" ? null : name);
  document.documentElement.dataset.theme = name;
}

// What the keys of new chats begin with.
export const prefix = () => device.get(PREFIX) ?? "web:";

function Dialog({ title, close, children }) {
  const element = useRef(null);
  useLayoutEffect(() => { if (!element.current.open) element.current.showModal(); }, []);
  return html`
    <dialog ref=${element} aria-labelledby="dialog-title" onClose=${close}>
      <h2 id="dialog-title">${title}</h2>
      ${children}
    </dialog>`;
}

// `what`: `{kind: "rename" | "delete", title, done}`.
export function Ask({ what, close }) {
  const value = useSignal(what.title);
  const submit = (event) => {
    event.preventDefault();
    close();
    what.done(value.value.trim());
  };
  if (what.kind === "rename") {
    return html`
      <${Dialog} title="Rename this chat" close=${close}>
        <form onSubmit=${submit}>
          <label>Title <input dir="auto" value=${value.value} maxlength="256" onInput=${(event) => { value.value = event.currentTarget.value; }} /></label>
          <p class="row end"><button type="button" class="quiet" onClick=${close}>Cancel</button><button type="submit">Rename</button></p>
        </form>
      <//>`;
  }
  return html`
    <${Dialog} title="Delete this chat?" close=${close}>
      <form onSubmit=${submit}>
        <p>“${what.title}” is deleted for good, with all its messages, versions and files.</p>
        <p class="row end"><button type="button" class="quiet" onClick=${close}>Cancel</button><button type="submit" class="stop">Delete</button></p>
      </form>
    <//>`;
}

export function Settings({ close, changed }) {
  const key = useSignal(apiKey.value);
  const remember = useSignal(isKeyRemembered());
  const begin = useSignal(prefix());
  const submit = (event) => {
    event.preventDefault();
    device.set(PREFIX, begin.value.trim() || null);
    useKey(key.value.trim(), { remember: remember.value });
    close();
    changed();
  };
  const pickTheme = (event) => applyTheme(event.currentTarget.value);
  return html`
    <${Dialog} title="Settings" close=${close}>
      <form onSubmit=${submit} autocomplete="off">
        ${keyNeeded.value && html`<p class="problem" role="alert">${apiKey.value ? "This API key is not valid here." : "This server needs an API key."}</p>`}
        <label>API key
          <input type="password" autocomplete="off" spellcheck="false" placeholder="none" value=${key.value}
            onInput=${(event) => { key.value = event.currentTarget.value; }} /></label>
        <label class="check"><input type="checkbox" checked=${remember.value}
          onChange=${(event) => { remember.value = event.currentTarget.checked; }} />
          Remember it on this device (otherwise it is forgotten with this tab)</label>
        <label>Names of new chats begin with
          <input spellcheck="false" value=${begin.value} maxlength="200"
            onInput=${(event) => { begin.value = event.currentTarget.value; }} /></label>
        <p class="faint">An API key may be limited to certain names. Who gave you the key knows which.</p>
        <label>Appearance
          <select onChange=${pickTheme}>${Object.entries(THEMES).map(([name, words]) => html`
            <option value=${name} selected=${name === theme()}>${words}</option>`)}</select></label>
        <p class="row end"><button type="button" class="quiet" onClick=${close}>Cancel</button><button type="submit">Save</button></p>
      </form>
    <//>`;
}
