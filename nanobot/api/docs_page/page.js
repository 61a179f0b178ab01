"use strict";
// Reads openapi.json and shows it; a form for each operation sends the request from here. Keys typed in stay in this page.

const at = (id) => document.getElementById(id);

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") for (const [event, run] of Object.entries(value)) node.addEventListener(event, run);
    else if (value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

// Schemas ---------------------------------------------------------------------------------------------------------------

let described = {};

function resolved(schema) {
  const name = schema?.$ref?.split("/").pop();
  return name ? { ...described.components.schemas[name], name } : schema ?? {};
}

// One line for a type, e.g. `string | null`, `array of Message`.
function kindOf(schema) {
  if (!schema) return "any";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.anyOf ?? schema.oneOf) return (schema.anyOf ?? schema.oneOf).map(kindOf).join(" | ");
  if (schema.type === "array") return `array of ${kindOf(schema.items)}`;
  return [].concat(schema.type ?? "any").join(" | ");
}

function boundsOf(schema) {
  const inner = (schema.anyOf ?? schema.oneOf ?? [schema]).find((one) => one.type !== "null") ?? {};
  const words = { minimum: "≥", maximum: "≤", minLength: "length ≥", maxLength: "length ≤", minItems: "items ≥", maxItems: "items ≤" };
  const bounds = Object.entries(words).filter(([name]) => name in inner).map(([name, word]) => `${word} ${inner[name]}`);
  if (schema.default !== undefined) bounds.push(`default ${JSON.stringify(schema.default)}`);
  return bounds.join(", ");
}

function namesIn(schema, found = new Set()) {
  for (const value of Object.values(schema ?? {})) {
    if (typeof value !== "object" || value === null) continue;
    if (value.$ref) {
      const name = value.$ref.split("/").pop();
      if (!found.has(name)) namesIn(described.components.schemas[name], found.add(name));
    }
    namesIn(value, found);
  }
  return found;
}

function fieldsTable(schema) {
  const required = new Set(schema.required ?? []);
  return make("table", {}, ...Object.entries(schema.properties ?? {}).map(([name, field]) =>
    make("tr", {},
      make("td", {}, make("code", {}, name), required.has(name) ? make("span", { class: "must", title: "required" }, " *") : null),
      make("td", {}, make("code", {}, kindOf(field))),
      make("td", {}, [field.description, boundsOf(field)].filter(Boolean).join("; ")))));
}

// The schema's own fields; those of the types it names are folded below it.
function schemaView(schema) {
  const whole = resolved(schema);
  if (!whole.properties) return make("p", {}, make("code", {}, kindOf(schema)), " ", whole.description ?? "");
  const view = make("div", {}, fieldsTable(whole));
  for (const name of namesIn(whole)) {
    if (name === whole.name) continue;
    view.append(make("details", {}, make("summary", {}, make("code", {}, name)), fieldsTable(described.components.schemas[name])));
  }
  return view;
}

// An example to start from: required fields, and what the schema itself gives as examples.
function example(schema, depth = 0) {
  const whole = resolved(schema);
  if (whole.examples?.length) return whole.examples[0];
  if (whole.default !== undefined) return whole.default;
  if ("const" in whole) return whole.const;
  if (whole.enum) return whole.enum.includes("user") ? "user" : whole.enum[0];
  const options = whole.properties ? null : whole.anyOf ?? whole.oneOf;
  if (options) return example(options[0], depth);
  if (whole.type === "array") return depth > 4 || !(whole.minItems || whole.contains) ? [] : [example(whole.items, depth + 1)];
  if (whole.properties) {
    const names = Object.keys(whole.properties).filter((name) => whole.required?.includes(name) || name === "content");
    return Object.fromEntries(names.map((name) => [name, example(whole.properties[name], depth + 1)]));
  }
  return { string: "hello", integer: 1, number: 1, boolean: false }[[].concat(whole.type)[0]] ?? null;
}

// One operation ---------------------------------------------------------------------------------------------------------

function operationView(path, method, operation) {
  const right = operation["x-right"];
  const body = make("div");
  const view = make("details", { class: "operation", id: operation.operationId },
    make("summary", {},
      make("span", { class: `method ${method}` }, method.toUpperCase()),
      make("span", { class: "path" }, path),
      make("span", { class: "summary" }, operation.summary ?? ""),
      make("span", { class: "needs" }, right ? `right: ${right}` : "no key needed")),
    body);
  view.addEventListener("toggle", () => { if (view.open && !body.hasChildNodes()) fill(body, path, method, operation); });
  view.dataset.words = `${method} ${path} ${operation.summary} ${operation.tags}`.toLowerCase();
  return view;
}

function fill(body, path, method, operation) {
  const parameters = operation.parameters ?? [];
  if (parameters.length) {
    body.append(make("h3", {}, "Parameters"), make("table", {}, ...parameters.map((parameter) =>
      make("tr", {},
        make("td", {}, make("code", {}, parameter.name), parameter.required ? make("span", { class: "must" }, " *") : null),
        make("td", {}, parameter.in),
        make("td", {}, make("code", {}, kindOf(parameter.schema))),
        make("td", {}, [parameter.description?.replaceAll("`", ""), boundsOf(parameter.schema)].filter(Boolean).join("; "))))));
  }
  for (const [kind, content] of Object.entries(operation.requestBody?.content ?? {})) {
    body.append(make("h3", {}, `Body (${kind})`), schemaView(content.schema));
  }
  body.append(make("h3", {}, "Answers"), make("table", {}, ...Object.entries(operation.responses).map(([status, answer]) =>
    make("tr", {},
      make("td", {}, make("code", { class: status >= 400 ? "bad" : false }, status)),
      make("td", {}, answer.description.replaceAll("`", "")),
      make("td", {}, ...Object.entries(answer.content ?? {}).map(([kind, content]) =>
        make("div", {}, make("code", {}, status >= 400 ? "Error" : `${kind} ${content.schema?.$ref ? kindOf(content.schema) : ""}`))))))));
  for (const content of Object.values(operation.responses["200"]?.content ?? {})) {
    if (content.schema?.$ref) body.append(make("details", {}, make("summary", {}, make("code", {}, kindOf(content.schema))), schemaView(content.schema)));
  }
  body.append(make("h3", {}, "Try it"), tryView(path, method, operation, parameters));
}

// Trying ----------------------------------------------------------------------------------------------------------------

function tryView(path, method, operation, parameters) {
  const inputs = new Map();
  const fields = make("div", { class: "fields" });
  for (const parameter of parameters) {
    if (parameter.name === "x-session-key") continue; // it stands at the top of the page
    const input = parameter.schema?.enum
      ? make("select", {}, make("option", { value: "" }, "(not sent)"), ...parameter.schema.enum.map((value) => make("option", {}, value)))
      : make("input", { spellcheck: "false", value: parameter.name === "session_key" ? at("session").value : undefined });
    inputs.set(parameter, input);
    fields.append(make("label", {}, parameter.name, input));
  }
  const kinds = operation.requestBody?.content ?? {};
  const isForm = "multipart/form-data" in kinds && !("application/json" in kinds);
  const text = "application/json" in kinds ? make("textarea", { spellcheck: "false" }) : null;
  if (text) text.value = JSON.stringify(example(kinds["application/json"].schema), null, 2);
  const form = isForm ? formView(kinds["multipart/form-data"].schema) : null;
  const out = make("pre", { hidden: true });
  const status = make("span");
  const stop = make("button", { type: "button", class: "quiet", disabled: true }, "Stop");
  const send = make("button", { type: "submit" }, "Send");
  const withSession = parameters.some((parameter) => parameter.name === "x-session-key");
  let going = null;
  stop.addEventListener("click", () => going?.abort());
  const run = async (event) => {
    event.preventDefault();
    going = new AbortController();
    send.disabled = true; stop.disabled = false; out.hidden = false; out.textContent = ""; status.textContent = "…"; status.className = "";
    try {
      const request = requestOf(path, method, inputs, withSession, text, form);
      const began = performance.now();
      const reply = await fetch(request.url, { ...request.options, signal: going.signal });
      status.className = reply.ok ? "" : "bad";
      await show(reply, out, () => { status.textContent = `${reply.status} ${reply.statusText} · ${Math.round(performance.now() - began)} ms · ${reply.headers.get("x-request-id") ?? ""}`; });
    } catch (error) {
      status.className = "bad";
      status.textContent = error.name === "AbortError" ? "stopped" : String(error.message);
    }
    send.disabled = false; stop.disabled = true;
  };
  return make("form", { on: { submit: run }, autocomplete: "off" }, fields, text, form, make("div", { class: "actions" }, send, stop, status), out);
}

function formView(schema) {
  const whole = resolved(schema);
  const view = make("div", { class: "fields" });
  for (const [name, field] of Object.entries(whole.properties ?? {})) {
    const isFile = field.format === "binary" || field.contentEncoding || field.contentMediaType;
    view.append(make("label", {}, name, make("input", { name, type: isFile ? "file" : "text" })));
  }
  return view;
}

function requestOf(path, method, inputs, withSession, text, form) {
  const headers = {};
  const query = new URLSearchParams();
  let url = path;
  for (const [parameter, input] of inputs) {
    if (parameter.in === "path") {
      if (!input.value) throw new Error(`${parameter.name} is needed`);
      url = url.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    } else if (input.value && parameter.in === "query") query.set(parameter.name, input.value);
    else if (input.value) headers[parameter.name] = input.value;
  }
  if (at("key").value) headers.authorization = `Bearer ${at("key").value}`;
  if (withSession && at("session").value) headers["x-session-key"] = asBytes(at("session").value);
  const options = { method: method.toUpperCase(), headers };
  if (text) { headers["content-type"] = "application/json"; options.body = text.value; }
  if (form) {
    options.body = new FormData();
    for (const input of form.querySelectorAll("input")) {
      if (input.type === "file") for (const file of input.files) options.body.append(input.name, file);
      else if (input.value) options.body.append(input.name, input.value);
    }
  }
  const base = new URL(".", document.baseURI).pathname.replace(/\/$/, "");
  return { url: base + url + (query.size ? `?${query}` : ""), options };
}

// Headers carry bytes; the server reads those of a session key as UTF-8.
function asBytes(value) {
  return String.fromCharCode(...new TextEncoder().encode(value));
}

async function show(reply, out, done) {
  done();
  const kind = reply.headers.get("content-type") ?? "";
  const reader = reply.body?.pipeThrough(new TextDecoderStream()).getReader();
  if (!reader) return done();
  let whole = "";
  for (;;) {
    const { value, done: isOver } = await reader.read();
    if (isOver) break;
    whole += value;
    out.textContent = whole.slice(0, 200_000);
    out.scrollTop = out.scrollHeight;
  }
  if (kind.startsWith("application/json")) {
    try { out.textContent = JSON.stringify(JSON.parse(whole), null, 2); } catch { /* shown as it came */ }
    out.scrollTop = 0;
  }
  done();
}

// The page --------------------------------------------------------------------------------------------------------------

async function load() {
  const place = at("operations");
  const headers = at("key").value ? { authorization: `Bearer ${at("key").value}` } : {};
  const reply = await fetch("openapi.json", { headers });
  if (!reply.ok) {
    place.replaceChildren(make("p", { class: "bad" }, `openapi.json: ${reply.status}. Where the server asks for an API key, type it above and press Enter.`));
    return;
  }
  described = await reply.json();
  at("version").textContent = described.info.version;
  at("about").replaceChildren(described.info.description.replaceAll("`", ""), " ", make("a", { href: "openapi.json" }, "openapi.json"));
  place.replaceChildren();
  for (const { name } of described.tags) {
    const section = make("section", {}, make("h2", {}, name));
    for (const [path, methods] of Object.entries(described.paths)) {
      for (const [method, operation] of Object.entries(methods)) {
        if (operation.tags.includes(name)) section.append(operationView(path, method, operation));
      }
    }
    place.append(section);
  }
  const wanted = at(location.hash.slice(1));
  if (wanted) { wanted.open = true; wanted.scrollIntoView(); }
}

// The key is read when a request is sent: what is open and typed stays. Only where the document did not come is it asked for again.
const loadIfMissing = () => { if (!described.paths) load(); };
at("who").addEventListener("submit", (event) => { event.preventDefault(); loadIfMissing(); });
at("key").addEventListener("change", loadIfMissing);
at("find").addEventListener("input", () => {
  const words = at("find").value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const view of document.querySelectorAll("details.operation")) view.hidden = !words.every((word) => view.dataset.words.includes(word));
  for (const section of document.querySelectorAll("section")) section.hidden = !section.querySelector("details.operation:not([hidden])");
});
load().catch((error) => { at("operations").replaceChildren(make("p", { class: "bad" }, String(error))); });
