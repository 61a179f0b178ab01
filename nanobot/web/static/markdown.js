// Answers as documents. What a model writes is not trusted: markup in it is shown as text, what the renderer makes
// of the rest passes the sanitiser, and nothing is fetched from elsewhere.

import MarkdownIt from "markdown-it";

import "./vendor/purify.js";

import { addMarks } from "./additions.js";
import { cuts } from "./blocks.js";
import { keepFormulas } from "./formulas.js";
import { grammarOf, highlighted } from "./highlight.js";

// Its module is twice the size of its script, which leaves its name in the global scope.
const { DOMPurify } = globalThis;
const LONGEST_HIGHLIGHTED = 100_000;
// While a block is still growing it is rendered many times.
const LONGEST_GROWING = 8_000;
const MOST_ROWS = 100;
// How long drawing may keep everything else waiting, in ms.
const SLICE = 12;
const FILE = "nanobot:workspace/";
const DATA_PICTURE = /^data:image\/(?:png|jpeg|gif|webp);base64,/i;
// Of the heading of a message.
const LEVEL = 2;
const TAGS = "a blockquote br code del em h3 h4 h5 h6 hr img li ol p pre s span strong sub sup table tbody td th thead tr ul";

// A line end is one: models write poems and addresses so.
const md = new MarkdownIt({ html: false, linkify: true, typographer: false, breaks: true, highlight });
md.linkify.set({ fuzzyLink: false, fuzzyEmail: false });
// The ids of files that the agent has written.
const FILE_PATH = /workspace\/[\w.~%/-]*[\w~%-]/y;
md.linkify.add("nanobot:", {
  validate: (text, at) => {
    FILE_PATH.lastIndex = at;
    return FILE_PATH.exec(text)?.[0].length ?? 0;
  },
});
keepFormulas(md);
addMarks(md);

// Headings of an answer stand below that of the message, and leave out no level on the way down.
md.renderer.rules.heading_open = (tokens, index, options, env) => {
  env.level = Math.min(6, Number(tokens[index].tag[1]) + LEVEL, env.level + 1);
  return `<h${env.level}>`;
};
md.renderer.rules.heading_close = (tokens, index, options, env) => `</h${env.level}>\n`;
// The page's policy allows no styles in attributes.
for (const rule of ["th_open", "td_open"]) {
  md.renderer.rules[rule] = (tokens, index) => {
    const align = /text-align:(\w+)/.exec(tokens[index].attrGet("style") ?? "");
    return `<${tokens[index].tag}${align ? ` class="${align[1]}"` : ""}>`;
  };
}
// A picture from elsewhere would tell that server who reads it, and when: it is shown as a link.
md.renderer.rules.image = (tokens, index, options, env, self) => {
  const source = tokens[index].attrGet("src") ?? "";
  const alt = md.utils.escapeHtml(self.renderInlineAsText(tokens[index].children ?? [], options, env));
  const address = md.utils.escapeHtml(source);
  if (DATA_PICTURE.test(source)) return `<img src="${address}" alt="${alt}">`;
  return `<a href="${address}">[picture: ${alt || "without a description"}]</a>`;
};

let isGrowing = false;
let missing = new Set();

function highlight(code, language) {
  const name = language.toLowerCase();
  if (!name || code.length > (isGrowing ? LONGEST_GROWING : LONGEST_HIGHLIGHTED)) return "";
  const html = highlighted(code, name);
  if (html === null) missing.add(name);
  return html ?? "";
}

DOMPurify.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName === "A") mendLink(node);
  if (node.tagName === "IMG" && !DATA_PICTURE.test(node.getAttribute("src") ?? "")) node.remove();
});

function mendLink(link) {
  // Becomes a button, see `elementOf`.
  if (link.getAttribute("href")?.startsWith(FILE)) return;
  const url = parsed(link.getAttribute("href"));
  // A relative one would lead to this server, which is not what a model can mean.
  if (url === null || !["http:", "https:", "mailto:"].includes(url.protocol)) {
    link.removeAttribute("href");
    return;
  }
  link.setAttribute("target", "_blank");
  link.setAttribute("rel", "noopener noreferrer nofollow");
  const text = link.textContent.trim();
  const shown = parsed(text);
  if (shown?.host === url.host && shown.protocol === url.protocol) return;
  if (url.protocol === "mailto:" && text === url.pathname) return;
  const host = link.ownerDocument.createElement("span");
  host.className = "host";
  // As it is looked up: letters of other scripts that look alike show as xn--….
  host.textContent = ` (${url.host || url.pathname})`;
  link.append(host);
}

function parsed(text) {
  try {
    return new URL(text);
  } catch {
    return null;
  }
}

// Return the HTML of each block at the top level, and the level of the last heading up to there (`level`: of the one
// before).
function blocksOf(text, level) {
  const env = { level };
  const html = [];
  let from = 0;
  let depth = 0;
  const tokens = md.parse(text, env);
  tokens.forEach((token, index) => {
    depth += token.nesting;
    if (depth === 0) {
      for (const piece of pieces(tokens.slice(from, index + 1))) {
        html.push(md.renderer.render(piece, md.options, env));
      }
      from = index + 1;
    }
  });
  return { html, level: env.level };
}

// A long table becomes several with the same head: each is drawn for itself, and only when it is seen.
function pieces(block) {
  const body = block.findIndex((token) => token.type === "tbody_open");
  if (block[0].type !== "table_open" || body < 0) return [block];
  const ends = [];
  block.forEach((token, index) => { if (index > body && token.type === "tr_close") ends.push(index + 1); });
  if (ends.length <= MOST_ROWS) return [block];
  const tables = [];
  for (let row = 0; row < ends.length; row += MOST_ROWS) {
    const rows = block.slice(row ? ends[row - 1] : body + 1, ends[Math.min(row + MOST_ROWS, ends.length) - 1]);
    tables.push([...block.slice(0, body + 1), ...rows, ...block.slice(-2)]);
  }
  return tables;
}

function elementOf(html) {
  const block = document.createElement("div");
  block.className = "block";
  // As its first letter says; of each paragraph in it the style sheet sees to that.
  block.dir = "auto";
  block.append(
    DOMPurify.sanitize(html, {
      ALLOWED_TAGS: TAGS.split(" "),
      ALLOWED_ATTR: ["alt", "class", "href", "rel", "src", "start", "target"],
      ALLOWED_URI_REGEXP: /^(?:https?:|mailto:|nanobot:workspace\/)/i,
      RETURN_DOM_FRAGMENT: true,
    }),
  );
  for (const pre of block.querySelectorAll("pre")) addCopyButton(pre);
  for (const table of block.querySelectorAll("table")) makeScrollable(table);
  for (const link of block.querySelectorAll(`a[href^="${FILE}"]`)) makeButton(link);
  return block;
}

// A file of the agent needs the session's key to be read, which a link cannot send.
function makeButton(link) {
  let id = link.getAttribute("href");
  try {
    id = decodeURIComponent(id);
  } catch { /* a percent sign that is one */ }
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet file";
  button.dataset.file = id;
  button.setAttribute("aria-label", `Download ${id.slice(FILE.length)}`);
  const text = link.textContent.trim();
  button.textContent = `${text.startsWith(FILE) ? id.slice(FILE.length) : text || id.slice(FILE.length)} ↓`;
  link.replaceWith(button);
}

function addCopyButton(pre) {
  const around = document.createElement("div");
  around.className = "code";
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet copy-code";
  button.textContent = "Copy";
  button.setAttribute("aria-label", "Copy this code");
  pre.replaceWith(around);
  // What scrolls must be reachable by keyboard.
  pre.tabIndex = 0;
  pre.dir = "ltr";
  around.append(button, pre);
}

function makeScrollable(table) {
  const around = document.createElement("div");
  around.className = "wide";
  around.tabIndex = 0;
  around.setAttribute("role", "group");
  around.setAttribute("aria-label", "Table");
  table.replaceWith(around);
  around.append(table);
}

// The text of one answer in the document. While it grows, blocks that are finished are left alone: rendering all
// of a long answer for each piece would take longer than the pieces take to come.
export class MarkdownView {
  #element;
  #text = "";
  #isFinal = false;
  #blocks = [];
  #finished = 0; // blocks
  #cut = 0; // characters of the text in them
  #level = LEVEL; // of the last heading in them
  #notBefore = 0;
  #timer = 0;

  constructor(element) {
    this.#element = element;
  }

  // Show `text`; `isFinal`: it will not grow any more.
  update(text, isFinal) {
    if (text === this.#text && isFinal === this.#isFinal) return;
    if (!text.startsWith(this.#text)) this.#forget();
    this.#text = text;
    this.#isFinal = isFinal;
    this.#draw();
  }

  close() {
    clearTimeout(this.#timer);
    this.#element = null;
  }

  #draw() {
    if (this.#element === null) return;
    clearTimeout(this.#timer);
    const now = performance.now();
    if (!this.#isFinal && now < this.#notBefore) {
      this.#timer = setTimeout(() => this.#draw(), this.#notBefore - now);
      return;
    }
    missing = new Set();
    isGrowing = !this.#isFinal;
    if (this.#isFinal) {
      // As a whole, since links may be defined after their use, and lists be looser than they seemed.
      this.#finish(blocksOf(this.#text, LEVEL).html);
    } else this.#grow();
    for (const name of missing) grammarOf(name)?.then(() => this.#redraw(), () => {});
    const cost = performance.now() - now;
    // A block that takes long (a table of a thousand rows) is drawn less often, and leaves time for all else.
    this.#notBefore = cost > 6 ? performance.now() + 3 * cost : 0;
  }

  #grow() {
    for (const cut of cuts(this.#text, this.#cut)) {
      const { html, level } = blocksOf(this.#text.slice(this.#cut, cut), this.#level);
      this.#place(this.#finished, html);
      this.#level = level;
      this.#finished += html.length;
      this.#cut = cut;
    }
    this.#place(this.#finished, blocksOf(this.#text.slice(this.#cut), this.#level).html);
  }

  // Have these blocks in the end; those of a long text are drawn a few at a time.
  #finish(html, start = 0) {
    const until = performance.now() + SLICE;
    let next = start;
    while (next < html.length && (next === start || performance.now() < until)) {
      this.#placeOne(next, html[next]);
      next += 1;
    }
    if (next < html.length) this.#timer = setTimeout(() => this.#finish(html, next));
    else this.#trim(html.length);
  }

  #redraw() {
    this.#forget();
    this.#draw();
  }

  // What is finished is looked at once more; blocks that look the same stay.
  #forget() {
    this.#finished = this.#cut = 0;
    this.#level = LEVEL;
  }

  // Have these blocks, from the one with the number `start` on; those that are there already stay.
  #place(start, html) {
    html.forEach((each, index) => this.#placeOne(start + index, each));
    this.#trim(start + html.length);
  }

  #placeOne(number, html) {
    const now = this.#blocks[number];
    if (now?.html === html) return;
    const element = elementOf(html);
    if (now === undefined) this.#element.append(element);
    else now.element.replaceWith(element);
    this.#blocks[number] = { html, element };
  }

  #trim(count) {
    for (const { element } of this.#blocks.splice(count)) element.remove();
  }
}
