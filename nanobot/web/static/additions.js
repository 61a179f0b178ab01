// What models write in Markdown and CommonMark does not know: notes, as `[^1]` with `[^1]: text` further down, and the
// few tags for which it has no mark of its own: `<br>` (the only line end in a table), `<sub>` and `<sup>`.

const NOTE = /\[\^([^\s\[\]^]{1,40})\]/y;
const BREAK = /<br ?\/?>/iy;
const SMALL = /<(su[bp])>([^<>\n]{1,100})<\/\1>/iy;

export function addMarks(md) {
  md.inline.ruler.before("link", "note", note);
  md.inline.ruler.before("autolink", "tag", tag);
  // CommonMark takes `[^1]: text` for the address of a link, and shows it nowhere.
  md.block.ruler.before("reference", "note", noteText, { alt: ["paragraph", "blockquote", "list"] });
}

function found(pattern, state) {
  pattern.lastIndex = state.pos;
  const match = pattern.exec(state.src);
  return match !== null && pattern.lastIndex <= state.posMax ? match : null;
}

function note(state, silent) {
  const match = found(NOTE, state);
  if (match === null) return false;
  if (!silent) push(state, "sup", `[${match[1]}]`);
  state.pos += match[0].length;
  return true;
}

function tag(state, silent) {
  const line = found(BREAK, state);
  const match = line ?? found(SMALL, state);
  if (match === null) return false;
  if (!silent && line !== null) state.push("hardbreak", "br", 0);
  else if (!silent) push(state, match[1].toLowerCase(), match[2]);
  state.pos += match[0].length;
  return true;
}

function push(state, name, text) {
  state.push(`${name}_open`, name, 1);
  state.push("text", "", 0).content = text;
  state.push(`${name}_close`, name, -1);
}

// Take the text of a note as a paragraph of its own.
function noteText(state, first, last, silent) {
  if (state.sCount[first] - state.blkIndent >= 4) return false;
  const text = state.src.slice(state.bMarks[first] + state.tShift[first], state.eMarks[first]);
  NOTE.lastIndex = 0;
  const match = NOTE.exec(text);
  if (match === null || text[NOTE.lastIndex] !== ":") return false;
  if (silent) return true;
  let after = first + 1;
  while (after < last && !state.isEmpty(after) && !begins(state, after)) after += 1;
  state.line = after;
  state.push("paragraph_open", "p", 1).map = [first, after];
  const token = state.push("inline", "", 0);
  const rest = state.getLines(first, after, state.blkIndent, false).trim();
  token.content = match[0] + rest.slice(match[0].length + 1);
  token.map = [first, after];
  token.children = [];
  state.push("paragraph_close", "p", -1);
  return true;
}

// Return whether something else begins in this line: the next note, a heading, a list.
function begins(state, line) {
  return state.sCount[line] < state.blkIndent
    || state.md.block.ruler.getRules("paragraph").some((rule) => rule(state, line, state.lineMax, true));
}
