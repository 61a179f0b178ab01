// A transcript as people read it: what was asked, and the whole of each answer with its thoughts and tools.

// An entry: `kind` (asked, answer), `key`, `rows` (the messages it is made of), `content` or `steps`; `turn`: the
// running turn whose steps it shows.

// Return the entries of stored messages; those of the turns in `live` are left to `liveEntries`.
export function storedEntries(rows, live) {
  const entries = [];
  const counts = new Map();
  for (const row of rows) {
    if (live.has(row.turn_id)) continue;
    const last = entries.at(-1);
    if (row.role === "user") {
      entries.push({ kind: "asked", key: keyOf(row, "asked", counts), rows: [row], content: row.content });
    } else if (last?.kind === "answer" && (row.role === "tool" || last.rows[0].turn_id === row.turn_id)) {
      last.rows.push(row);
      addSteps(last.steps, row);
    } else {
      const steps = [];
      addSteps(steps, row);
      entries.push({ kind: "answer", key: keyOf(row, "answer", counts), rows: [row], steps });
    }
  }
  return entries;
}

// The same keys as those of stored messages: what was drawn while it came stays as it is.
export function liveEntries(turn) {
  const asked = turn.input.map((message, index) => ({
    kind: "asked", key: `${turn.id}:asked${index}`, rows: [], content: message.content,
  }));
  return [...asked, { kind: "answer", key: `${turn.id}:answer0`, rows: [], steps: turn.steps, turn }];
}

function keyOf(row, kind, counts) {
  if (!row.turn_id) return row.id;
  const name = `${row.turn_id}:${kind}`;
  const count = counts.get(name) ?? 0;
  counts.set(name, count + 1);
  return `${name}${count}`;
}

function addSteps(steps, row) {
  if (row.role === "tool") {
    const step = steps.find((each) => each.type === "tool" && each.id === row.tool_call_id && each.result === null);
    const content = typeof row.content === "string" ? row.content : (row.content ?? []).map((part) => part.text ?? "").join("");
    if (step) Object.assign(step, { result: content, files: row.files });
    return;
  }
  if (row.reasoning_content) steps.push({ type: "thinking", text: row.reasoning_content });
  const text = typeof row.content === "string" ? row.content : (row.content ?? []).map((part) => part.text ?? "").join("");
  if (text) steps.push({ type: "text", text });
  for (const call of row.tool_calls ?? []) {
    steps.push({ type: "tool", id: call.id, name: call.function.name, arguments: call.function.arguments, result: null });
  }
}

// Return the files that the agent has written in these steps, each once.
export function writtenFiles(steps) {
  return [...new Map(steps.flatMap((step) => step.files ?? []).map((file) => [file.id, file])).values()];
}

// Return what else was said in the place of an entry, as ids of branches in the order of their age, and which of them
// is shown; null where there is nothing else. `before`: the message ahead of the entry.
export function alternatives(entry, rows, branches, hasEarlier) {
  for (const row of entry.rows) {
    const at = rows.indexOf(row);
    if (at === 0 && hasEarlier) continue;
    const before = at > 0 ? rows[at - 1].id : null;
    const others = branches.filter((branch) => !branch.current && branch.parted_at === before);
    if (!others.length) continue;
    const here = rows.at(-1).id;
    const ids = [...others.map((branch) => branch.id), here].sort((one, two) => number(one) - number(two));
    return { ids, at: ids.indexOf(here) };
  }
  return null;
}

const number = (id) => Number(id.slice("msg_".length));
