// Calls that a person is asked about, and what tools ask: below the question, with buttons and forms.

import { useSignal } from "@preact/signals";

import { html } from "./html.js";

const DECIDED = { approved: "Agreed to.", denied: "Not agreed to.", expired: "Too late: nobody answered in time." };
const TYPES = { email: "email", uri: "url", date: "date" };

// What the chat waits for; nothing where it goes on already.
export function Asking({ chat, actions }) {
  const asked = chat.questions.asked.value;
  if (!asked.length) return null;
  const isDecided = asked.every((each) => each.state !== "pending");
  return html`
    ${asked.map((each) => html`<${Asked} key=${each.id} approval=${each} many=${asked.length > 1} chat=${chat} actions=${actions} />`)}
    ${isDecided && html`<p class="asking row">
      <button onClick=${() => chat.questions.goOn(actions.model())}>Go on</button></p>`}`;
}

function Asked({ approval, many, chat, actions }) {
  const isBusy = useSignal(false);
  const problem = useSignal("");
  const decide = async (decision, content) => {
    isBusy.value = true;
    problem.value = "";
    try {
      await chat.questions.decide(approval, decision, content, actions.model());
    } catch (error) {
      problem.value = error.message;
    }
    isBusy.value = false;
  };
  const { question, state } = approval;
  const label = question === null ? `May ${approval.tool} run?` : `What ${approval.tool} asks`;
  return html`
    <section class="asking" aria-label=${label}>
      ${many && html`<p class="faint"><code>${approval.tool}</code> <span class="gist">${approval.arguments}</span></p>`}
      ${state !== "pending" ? html`<p class="faint">${DECIDED[state]}</p>`
        : question === null ? html`<${Choice} decide=${decide} isBusy=${isBusy.value} />`
          : html`<${Answer} question=${question} decide=${decide} isBusy=${isBusy.value} />`}
      ${problem.value && html`<p class="problem" role="alert">${problem.value}</p>`}
    </section>`;
}

function Choice({ decide, isBusy }) {
  return html`<p class="row">
    <button disabled=${isBusy} onClick=${() => decide("once")}>Run it</button>
    <button class="quiet" disabled=${isBusy} onClick=${() => decide("session")}>Always in this chat</button>
    <button class="quiet" disabled=${isBusy} onClick=${() => decide("deny")}>Do not run it</button>
  </p>`;
}

function Answer({ question, decide, isBusy }) {
  const { fields } = question;
  const none = html`<button type="button" class="quiet" disabled=${isBusy} onClick=${() => decide("deny")}>Do not answer</button>`;
  if (!fields.length) {
    return html`<p class="row"><button disabled=${isBusy} onClick=${() => decide("once", {})}>Yes</button>${none}</p>`;
  }
  if (fields.length === 1 && fields[0].kind === "yes_no") {
    const say = (value) => decide("once", { [fields[0].name]: value });
    return html`<p class="row">
      <button disabled=${isBusy} onClick=${() => say(true)}>Yes</button>
      <button class="quiet" disabled=${isBusy} onClick=${() => say(false)}>No</button>${none}</p>`;
  }
  const submit = (event) => {
    event.preventDefault();
    decide("once", filledIn(fields, new FormData(event.currentTarget)));
  };
  // The server checks what is filled in, and says what is wrong, as it does for everybody.
  return html`
    <form onSubmit=${submit} novalidate>
      ${fields.map((field, number) => html`<${Field} key=${field.name} field=${field} name=${`f${number}`} />`)}
      <p class="row"><button type="submit" disabled=${isBusy}>Answer</button>${none}</p>
    </form>`;
}

function Field({ field, name }) {
  const title = field.title || field.name;
  const hint = [field.description, field.required || field.default !== null ? "" : "may be left out"].filter(Boolean).join(", ");
  const about = hint && html` <small class="faint">${hint}</small>`;
  if (field.kind === "choices" || field.kind === "yes_no") {
    const options = field.kind === "yes_no" ? [["yes", "yes"], ["no", "no"]] : named(field);
    const chosen = field.kind === "choices" ? field.default ?? [] : field.default === null ? [] : [field.default ? "yes" : "no"];
    return html`<fieldset><legend>${title}${about}</legend>
      ${options.map(([value, words]) => html`<label class="check">
        <input type=${field.kind === "choices" ? "checkbox" : "radio"} name=${name} value=${value}
          defaultChecked=${chosen.includes(value)} /> ${words}</label>`)}
    </fieldset>`;
  }
  if (field.kind === "choice") {
    return html`<label>${title}${about}<select name=${name}>
      <option value=""></option>
      ${named(field).map(([value, words]) => html`<option value=${value} selected=${value === field.default}>${words}</option>`)}
    </select></label>`;
  }
  const isNumber = field.kind === "integer" || field.kind === "number";
  return html`<label>${title}${about}
    <input name=${name} type=${isNumber ? "text" : TYPES[field.format] ?? "text"} inputmode=${isNumber ? "decimal" : undefined}
      defaultValue=${field.default ?? ""} autocomplete="off" required=${field.required && field.default === null} /></label>`;
}

const named = (field) => field.choices.map(({ value, title }) => [value, title || value]);

// What was filled in, each as what its field wants; what is empty is left out.
function filledIn(fields, form) {
  const content = {};
  fields.forEach((field, number) => {
    const values = form.getAll(`f${number}`).filter((value) => value !== "");
    // No box ticked is an answer, except where the field may be left out.
    if (field.kind === "choices" && (values.length || field.required || field.default !== null)) content[field.name] = values;
    else if (field.kind === "yes_no" && values.length) content[field.name] = values[0] === "yes";
    else if (["integer", "number"].includes(field.kind) && values.length) content[field.name] = numberOf(values[0]);
    else if (values.length && field.kind !== "choices") [content[field.name]] = values;
  });
  return content;
}

const numberOf = (text) => (text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : text);
