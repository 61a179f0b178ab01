// One conversation as the page has it: the transcript, the turns that run, and what is on its way. Everything that
// happens comes as events of the session, whoever caused it, so that several tabs and other clients are one.

import { batch, signal } from "@preact/signals";

import { change, deliver, discard, find, outbox, pause, put, renew, titleOf } from "./outbox.js";
import { Questions } from "./questions.js";
import { call, callJson, serverEvents, sessionPath, turnError } from "./server.js";

const PAGE = 40;
const LONGEST_WAIT_MS = 15_000;
const STOPPED = "Stopped before its end.";
const HIDDEN_MS = 10_000;
// The server sends at least a comment every 15 s.
const LONGEST_SILENCE_MS = 45_000;

// A turn that has not ended, as its events tell it. `steps`: thinking, text, tools, and what others said in between.
class LiveTurn {
  constructor(id, input) {
    this.id = id;
    this.input = input;
    this.steps = [];
    this.isRunning = false;
    this.isOver = false;
    this.error = null;
    // Counts up, once a frame, when any of the above changes.
    this.version = signal(0);
    this.isDue = false;
  }

  append(type, text) {
    const last = this.steps.at(-1);
    if (last?.type === type && last.isOpen) last.text += text;
    else this.steps.push({ type, text, isOpen: true });
  }

  // The model's message is whole: what comes next is another one.
  endStep(message) {
    const open = this.steps.filter((step) => step.isOpen);
    for (const step of open) step.isOpen = false;
    // Its pieces passed before this page was there.
    if (typeof message.content === "string" && message.content && !open.some((step) => step.type === "text")) {
      this.steps.push({ type: "text", text: message.content, isOpen: false });
    }
  }

  show() {
    if (this.isDue) return;
    this.isDue = true;
    requestAnimationFrame(() => {
      this.isDue = false;
      this.version.value += 1;
    });
  }
}

export class Chat {
  constructor(key, { isNew = false, announce = () => {}, listChanged = () => {} } = {}) {
    this.key = key;
    this.isNew = signal(isNew);
    // opening, live, broken (it will be tried again), gone, refused
    this.state = signal(isNew ? "live" : "opening");
    this.problem = signal("");
    this.session = signal(null);
    this.rows = signal([]);
    this.hasEarlier = signal(false);
    this.branches = signal([]);
    this.turns = signal([]);
    this.questions = new Questions(this);
    // By turn: why its answer is not whole.
    this.failures = signal(new Map());
    this.#announce = announce;
    this.#listChanged = listChanged;
    this.#queue = Promise.resolve();
    document.addEventListener("visibilitychange", this.#onVisibility);
    if (!isNew) this.#watch();
    for (const item of outbox.value) {
      if (item.session === key) this.#enqueue(() => (item.turnId ? this.#settle(item) : this.#deliver(item.id)));
    }
  }

  #announce;
  #listChanged;
  #queue;
  #abort = null;
  #isClosed = false;
  #isWatching = false;
  #seen = new Set();
  #hiddenTimer = 0;
  #silence = 0;

  close() {
    this.#isClosed = true;
    clearTimeout(this.#hiddenTimer);
    clearTimeout(this.#silence);
    document.removeEventListener("visibilitychange", this.#onVisibility);
    this.#abort?.abort();
  }

  get runningTurn() {
    return this.turns.value.find((turn) => !turn.isOver) ?? null;
  }

  // Sending ------------------------------------------------------------------------------------------------------

  send(content, options = {}) {
    const { id } = put(this.key, content, options);
    this.#enqueue(() => this.#deliver(id));
  }

  // Ask `content` in place of the message `row` (and of all that follows it).
  async replace(row, content, model) {
    if (this.rows.value[0] === row && this.hasEarlier.value) await this.earlier();
    const before = this.rows.value[this.rows.value.indexOf(row) - 1];
    this.send(content, before ? { model, rewindTo: before.id } : { model, begins: true });
  }

  async again(id) {
    const { turnId } = find(id);
    this.#forgetTurn(turnId);
    change(id, { state: "sending", note: "" });
    // A turn that failed for a passing reason goes on under its id; any other one is asked anew.
    const response = await this.#deliver(id);
    if (response?.status === "failed" && find(id)) await this.#deliver(renew(id).id);
  }

  discard(id) {
    this.#forgetTurn(find(id)?.turnId);
    discard(id);
  }

  async stop() {
    const turn = this.runningTurn;
    if (turn === null) return;
    try {
      await call(`v1/turns/${turn.id}/cancel`, { method: "POST" });
    } catch (problem) {
      this.problem.value = `The answer could not be stopped. ${problem.message}`;
    }
  }

  // One after the other, as they were written.
  #enqueue(run) {
    this.#queue = this.#queue.then(run).catch((error) => {
      this.problem.value = String(error.message);
    });
  }

  async #deliver(id) {
    const { rewindTo } = find(id) ?? {};
    const response = await deliver(id);
    if (rewindTo && !find(id)?.rewindTo && !this.#isClosed) await this.#load(PAGE).catch(() => {});
    if (response === null) return null;
    const item = find(id);
    if (this.isNew.value) {
      this.isNew.value = false;
      const title = titleOf(item?.content ?? []);
      if (title) {
        await call(sessionPath(this.key), { method: "POST", json: { title } }).catch(() => {});
      }
    }
    this.#listChanged();
    if (response.status === "failed") change(id, { state: "failed", note: turnError(response.error) });
    else if (!["queued", "in_progress"].includes(response.status)) {
      discard(id);
      if (!this.#isClosed) await this.#showEnded(response);
    } else if (this.#hasSeenTheEnd(item?.turnId)) await this.#settle(item);
    this.#watch();
    return response;
  }

  // The events of a turn can be faster than the response that tells its id.
  #hasSeenTheEnd(turnId) {
    return this.#seen.has(turnId) && !this.turns.value.some((turn) => turn.id === turnId && !turn.isOver);
  }

  // The turn ended before its events were watched.
  async #showEnded(response) {
    await this.#load(PAGE).catch(() => {});
    const said = response.output.flatMap((item) => item.content ?? []).map((part) => part.text ?? "");
    if (said.length) this.#announce(said.join("\n"));
  }

  // Reading ------------------------------------------------------------------------------------------------------

  async earlier() {
    const first = this.rows.value[0];
    if (!first) return;
    const page = await callJson(sessionPath(this.key, `/messages?order=desc&limit=${PAGE}&after=${first.id}`));
    batch(() => {
      this.rows.value = [...page.data.reverse(), ...this.rows.value];
      this.hasEarlier.value = page.has_more;
    });
  }

  // Read the newest messages. What is known of those before them still holds: messages never change.
  async #load(limit) {
    const [page, branches, session, approvals] = await Promise.all([
      callJson(sessionPath(this.key, `/messages?order=desc&limit=${limit}`)),
      callJson(sessionPath(this.key, "/branches?limit=100")),
      callJson(sessionPath(this.key)),
      this.questions.read(),
    ]);
    const newest = page.data.reverse();
    const known = this.rows.value;
    const at = newest.length ? known.findIndex((row) => row.id === newest[0].id) : -1;
    if (at < 0 && page.has_more && limit < PAGE) return this.#load(PAGE);
    const byId = new Map(known.map((row) => [row.id, row]));
    batch(() => {
      this.rows.value = [...known.slice(0, Math.max(0, at)), ...newest.map((row) => byId.get(row.id) ?? row)];
      if (at < 0) this.hasEarlier.value = page.has_more;
      this.branches.value = branches.data;
      this.session.value = session;
      this.questions.approvals.value = approvals;
    });
  }

  async reload() {
    await this.#load(PAGE);
  }

  async switchTo(branchId) {
    await call(sessionPath(this.key, "/rewind"), { method: "POST", json: { message_id: branchId } });
    await this.#load(PAGE);
  }

  // Watching -----------------------------------------------------------------------------------------------------

  async #watch() {
    if (this.#isWatching || this.#isClosed) return;
    this.#isWatching = true;
    let waitMs = 1000;
    try {
      while (!this.#isClosed) {
        try {
          await this.#follow(() => { waitMs = 1000; });
        } catch (problem) {
          if (this.#isClosed) return;
          if (problem.status === 404 && outbox.value.some((item) => item.session === this.key)) {
            // Its first message is still on the way.
            this.isNew.value = true;
            this.state.value = "live";
            return;
          }
          if (problem.status === 404) {
            this.state.value = "gone";
            this.problem.value = "This chat does not exist (any more), or this API key may not see it.";
            return;
          }
          if (problem.status === 401 || problem.status === 403) {
            this.state.value = "refused";
            this.problem.value = problem.status === 401 ? problem.message
              : `${problem.message} Without it this page cannot show what is answered.`;
            return;
          }
        }
        if (this.#isClosed) return;
        if (document.hidden && this.runningTurn === null) await shownAgain();
        else {
          this.state.value = "broken";
          await pause(waitMs);
          waitMs = Math.min(2 * waitMs, LONGEST_WAIT_MS);
        }
      }
    } finally {
      this.#isWatching = false;
    }
  }

  async #follow(connected) {
    this.#abort = new AbortController();
    const { signal: abort } = this.#abort;
    const response = await call(sessionPath(this.key, "/events"), { signal: abort });
    connected();
    this.#seen = new Set();
    let isFirst = true;
    for await (const events of serverEvents(response)) {
      // A connection may be dead without a word: after a sleep of the computer, say.
      clearTimeout(this.#silence);
      this.#silence = setTimeout(() => this.#abort?.abort(), LONGEST_SILENCE_MS);
      batch(() => events.forEach((event) => this.#take(event)));
      if (!isFirst) continue;
      isFirst = false;
      // Only now: a turn that ended before stands in the transcript, one that ends later is told.
      this.#load(PAGE).then(
        () => batch(() => {
          this.state.value = "live";
          this.problem.value = "";
          this.turns.value = this.turns.value.filter((turn) => this.#seen.has(turn.id));
          this.#settleOutbox();
          this.#lookAtLast();
        }),
        (problem) => { if (!abort.aborted) this.problem.value = problem.message; },
      );
    }
  }

  // What was accepted and is not running any more has ended while nobody watched.
  #settleOutbox() {
    for (const item of outbox.value) {
      const isHere = item.session === this.key && item.state === "accepted";
      if (isHere && !this.turns.value.some((turn) => turn.id === item.turnId)) {
        this.#enqueue(() => this.#settle(item));
      }
    }
  }

  // An answer that was stopped or failed says so, also when the page is opened later.
  async #lookAtLast() {
    const id = this.rows.value.at(-1)?.turn_id;
    if (!id || this.#seen.has(id) || this.failures.value.has(id)) return;
    const turn = await callJson(`v1/turns/${id}`).catch(() => null);
    if (turn?.status === "cancelled") this.#setFailure(id, STOPPED);
    if (turn?.status === "failed") this.#setFailure(id, turnError(turn.error));
  }

  // Ask what became of a message that the server has accepted.
  async #settle(item) {
    let turn;
    try {
      turn = await callJson(`v1/turns/${item.turnId}`);
    } catch (problem) {
      if (problem.status === 404) discard(item.id);
      return;
    }
    if (turn.status === "failed") {
      change(item.id, { state: "failed", note: turnError(turn.error) });
      this.#announce(turnError(turn.error));
    } else if (turn.status === "queued" || turn.status === "running") change(item.id, { state: "accepted" });
    else discard(item.id);
  }

  #take({ name, data }) {
    const fields = JSON.parse(data);
    if (name === "turn_admitted") {
      this.#admitted(fields);
      return;
    }
    const turn = this.turns.value.find((each) => each.id === fields.turn_id);
    if (turn === undefined) return;
    switch (name) {
      case "turn_started":
        turn.isRunning = true;
        break;
      case "text_delta":
        turn.append("text", fields.delta);
        break;
      case "thinking_delta":
        turn.append("thinking", fields.delta);
        break;
      case "tool_started":
        turn.steps.push({ type: "tool", id: fields.id, name: fields.name, arguments: fields.arguments, result: null });
        break;
      case "tool_progress": {
        const step = turn.steps.find((each) => each.type === "tool" && each.id === fields.id);
        if (step) step.told = fields.text;
        break;
      }
      case "tool_finished": {
        const step = turn.steps.find((each) => each.type === "tool" && each.id === fields.id);
        if (step) Object.assign(step, { result: fields.content, isError: fields.is_error, files: fields.files });
        break;
      }
      case "message_added":
        if (fields.message.role === "assistant") turn.endStep(fields.message);
        break;
      case "model_chosen":
        if (fields.passed_over?.length) turn.steps.push({ type: "model", name: fields.model });
        break;
      case "turn_ended":
        this.#ended(turn, fields);
        break;
    }
    turn.show();
  }

  #admitted({ turn_id: id, input, joins }) {
    this.#seen.add(id);
    const joined = joins && this.turns.value.find((turn) => turn.id === joins);
    if (joined) {
      joined.steps.push({ type: "said", messages: input });
      joined.show();
      return;
    }
    const turn = new LiveTurn(id, input);
    const others = this.turns.value.filter((each) => each.id !== id);
    this.turns.value = [...others, turn];
    this.#setFailure(id, null);
  }

  async #ended(turn, { outcome, error }) {
    turn.isOver = true;
    this.turns.value = [...this.turns.value];
    const item = outbox.value.find((each) => each.turnId === turn.id);
    if (outcome === "failed") {
      turn.error = turnError(error);
      if (item) change(item.id, { state: "failed", note: turn.error });
    } else if (item) discard(item.id);
    const text = turn.steps.filter((step) => step.type === "text").map((step) => step.text).join("\n");
    this.#announce(outcome === "failed" ? turn.error : outcome === "cancelled" ? STOPPED : text);
    let isRead = true;
    try {
      await this.#load(Math.min(100, 2 * turn.steps.length + turn.input.length + 2));
    } catch {
      // It stays as it came, until the connection is back.
      isRead = false;
    }
    const isStored = this.rows.value.some((row) => row.turn_id === turn.id);
    batch(() => {
      if (outcome === "failed") this.#setFailure(turn.id, turn.error);
      if (outcome === "cancelled") this.#setFailure(turn.id, STOPPED);
      if (isRead && (isStored || outcome !== "failed")) this.#forgetTurn(turn.id);
    });
    this.#listChanged();
    this.#onVisibility();
  }

  #forgetTurn(id) {
    this.turns.value = this.turns.value.filter((turn) => turn.id !== id);
  }

  #setFailure(id, why) {
    const failures = new Map(this.failures.value);
    if (why === null) failures.delete(id);
    else failures.set(id, why);
    this.failures.value = failures;
  }

  // A tab that nobody looks at leaves: browsers allow six connections to a server, for all tabs together.
  #onVisibility = () => {
    clearTimeout(this.#hiddenTimer);
    if (!document.hidden || this.runningTurn !== null) return;
    this.#hiddenTimer = setTimeout(() => {
      if (document.hidden && this.runningTurn === null) this.#abort?.abort();
    }, HIDDEN_MS);
  };
}

function shownAgain() {
  return new Promise((resolve) => {
    const look = () => {
      if (document.hidden) return;
      document.removeEventListener("visibilitychange", look);
      resolve();
    };
    document.addEventListener("visibilitychange", look);
    look();
  });
}
