// Formulas in Markdown, which stay as the model wrote them: \( \), \[ \], $ $ and $$ $$. CommonMark knows none: it
// would drop the backslashes, and take stars and underscores for markup. `nanobot chat` follows the same rules.

const CLOSING = { "\\(": "\\)", "\\[": "\\]", $$: "$$" };
// A formula between single dollars, as Pandoc has it: no white space inside the dollars, no digit behind them, so that
// "$5 and $10" is none.
const DOLLAR = /\$(?=[^\s$])(?:[^$\n\\]|\\.)*?(?<=[^\s\\])\$(?!\d)/y;
// How long a formula within a line may be; bounds the search for its end.
const MOST_CHARS = 4_000;

export function keepFormulas(md) {
  md.inline.ruler.before("escape", "formula", inline);
  md.block.ruler.before("code", "formula", block, { alt: ["paragraph", "reference", "blockquote", "list"] });
}

function inline(state, silent) {
  const end = endOf(state.src, state.pos, state.posMax);
  if (end === null) return false;
  if (!silent) addText(state, state.src.slice(state.pos, end));
  state.pos = end;
  return true;
}

// Return where the formula, or the delimiter without a partner, ends that begins at `start`.
function endOf(text, start, limit) {
  const opening = text.slice(start, start + 2);
  const closing = CLOSING[opening];
  if (closing !== undefined) {
    const end = text.slice(start + 2, Math.min(limit, start + MOST_CHARS)).indexOf(closing);
    return end < 0 ? start + 2 : start + 2 + end + closing.length;
  }
  // A bracket that has lost its partner keeps its backslash all the same.
  if (opening === "\\)" || opening === "\\]") return start + 2;
  if (text[start] !== "$") return null;
  DOLLAR.lastIndex = start;
  const found = DOLLAR.exec(text.slice(0, Math.min(limit, start + MOST_CHARS)));
  return found === null ? null : start + found[0].length;
}

function addText(state, text) {
  text.split("\n").forEach((line, number) => {
    if (number) state.push("hardbreak", "br", 0);
    state.pending += line;
  });
}

// Take a formula that begins a line as a paragraph of its own, whatever its lines look like. One that is not closed
// yet reaches to the end: the answer is still being written. An empty line ends what is no formula.
function block(state, first, last, silent) {
  if (state.sCount[first] - state.blkIndent >= 4) return false;
  const opening = state.src.slice(state.bMarks[first] + state.tShift[first], state.eMarks[first]).slice(0, 2);
  if (opening !== "\\[" && opening !== "$$") return false;
  const after = lineAfter(state, first, last, CLOSING[opening]);
  if (after === null) return false;
  if (silent) return true;
  state.line = after;
  state.push("paragraph_open", "p", 1).map = [first, after];
  const token = state.push("inline", "", 0);
  token.content = state.getLines(first, after, state.blkIndent, false).trim();
  token.map = [first, after];
  token.children = [];
  state.push("paragraph_close", "p", -1);
  return true;
}

// Return the line behind the formula; null where there is none.
function lineAfter(state, first, last, closing) {
  for (let line = first; line < last; line += 1) {
    if (state.isEmpty(line) || (line > first && state.sCount[line] < state.blkIndent)) return null;
    const text = state.src.slice(state.bMarks[line] + state.tShift[line], state.eMarks[line]);
    if ((line === first ? text.slice(2) : text).includes(closing)) return line + 1;
  }
  return last;
}
