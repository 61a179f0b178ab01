// What people are asked in a conversation before it goes on: calls that may run, and what tools ask.

import { computed, signal } from "@preact/signals";

import { outbox } from "./outbox.js";
import { call, callJson, headerText } from "./server.js";

const MOST = 20;

export class Questions {
  constructor(chat) {
    this.#chat = chat;
    // The newest of the conversation, decided or not.
    this.approvals = signal([]);
    // Those of the newest turn, for as long as the conversation waits for them; the first that was asked first.
    this.asked = computed(() => this.#asked());
  }

  #chat;

  get #headers() {
    return { "x-session-key": headerText(this.#chat.key) };
  }

  async read() {
    try {
      return (await callJson(`v1/approvals?limit=${MOST}`, { headers: this.#headers })).data;
    } catch {
      // The question itself is there, and says how else it is answered.
      return [];
    }
  }

  #asked() {
    const { key, rows, runningTurn } = this.#chat;
    const newest = rows.value.at(-1)?.turn_id;
    const goesOn = runningTurn !== null || outbox.value.some((item) => item.session === key && item.state !== "failed");
    if (!newest || goesOn) return [];
    return this.approvals.value.filter((each) => each.turn_id === newest && !each.used).reverse();
  }

  // Decide on one; with the last decision the conversation goes on.
  async decide(approval, decision, content, model) {
    const json = content === undefined ? { decision } : { decision, content };
    try {
      await call(`v1/approvals/${approval.id}`, { method: "POST", headers: this.#headers, json });
    } finally {
      // Also where it was refused: somebody else may have decided meanwhile.
      this.approvals.value = await this.read();
    }
    if (this.asked.value.every((each) => each.state !== "pending")) this.goOn(model);
  }

  // A decision alone starts nothing: a message does. That of several tabs is one.
  goOn(model) {
    const asked = this.asked.value;
    if (!asked.length) return;
    const all = (state) => asked.every((each) => each.question === null && each.state === state);
    const text = all("approved") ? "Yes." : all("denied") ? "No." : "Go on.";
    this.#chat.send([{ type: "input_text", text }], { model, id: `after-${asked[0].id}` });
  }
}
