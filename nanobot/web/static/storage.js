// What the browser keeps for this page. Where it may keep nothing (its settings can say so), a reload forgets it.

class Storage {
  #kept;
  #memory = new Map();

  constructor(name) {
    try {
      this.#kept = globalThis[name];
    } catch {
      this.#kept = null;
    }
  }

  get(name) {
    try {
      return this.#memory.get(name) ?? this.#kept.getItem(name);
    } catch {
      return null;
    }
  }

  // `value` null: forget it.
  set(name, value) {
    try {
      if (value === null) this.#kept.removeItem(name);
      else this.#kept.setItem(name, value);
      this.#memory.delete(name);
    } catch {
      // Not allowed, or full.
      if (value === null) this.#memory.delete(name);
      else this.#memory.set(name, value);
    }
  }
}

export const device = new Storage("localStorage");
export const tab = new Storage("sessionStorage");
