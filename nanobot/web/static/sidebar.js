// The list of chats.

import { html } from "./html.js";
import { hasMore, listProblem, more, search, sessions, words } from "./sessions.js";

const dates = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const times = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });

export function Sidebar({ current, open, begin, showSettings }) {
  return html`
    <aside id="chats" class="sidebar" aria-label="Chats">
      <div class="row">
        <button class="new" onClick=${begin}>New chat</button>
        <button class="quiet" onClick=${showSettings}>Settings</button>
      </div>
      <div role="search">
        <label class="unseen" for="search">Search chats</label>
        <input id="search" type="search" placeholder="Search" value=${words.value} maxlength="256"
          onInput=${(event) => search(event.currentTarget.value)} />
      </div>
      ${listProblem.value && html`<p class="problem">${listProblem.value}</p>`}
      <nav aria-label="Chats">
        <ul class="chats">
          ${sessions.value.map((session) => html`
            <li key=${session.key}>
              <a href=${`#chat=${encodeURIComponent(session.key)}`} aria-current=${session.key === current ? "page" : undefined}
                onClick=${() => open(session.key)}>
                <span class="title" dir="auto">${session.title ?? session.key}</span>
                <span class="faint">${session.match ? session.match.snippet : when(session.updated_at)}</span>
              </a>
            </li>`)}
        </ul>
        ${!sessions.value.length && !listProblem.value && html`<p class="faint">${words.value.trim() ? "Nothing found." : "No chats yet."}</p>`}
        ${hasMore.value && html`<button class="quiet" onClick=${more}>Show more</button>`}
      </nav>
    </aside>`;
}

function when(seconds) {
  const then = new Date(seconds * 1000);
  return then.toDateString() === new Date().toDateString() ? times.format(then) : dates.format(then);
}
