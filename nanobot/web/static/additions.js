// What models write in Markdown and CommonMark does not know: notes, `[^1]` with `[^1]: text` further down, and the
// few tags for which it has no mark: `<br>` (the only line end in a table), `<sub>` and `<sup>`.

const NOTE = /\[\^([^\s\[\]^]{1,40})\]/y;
const TAG = /<br ?\/?>|<(su[bp])>([^<>\n]{1,100})<\/\1>/iy;

export function addMarks(md) {
  md.inline.ruler.before("link", "note", (state, silent) => take(state, silent, NOTE, ([, label]) => ["sup", `[${label}]`]));
  md.inline.ruler.before("autolink", "tag", (state, silent) => take(state, silent, TAG, ([, name, text]) => [name?.toLowerCase(), text]));
  // CommonMark takes `[^1]: text` for the address of a link, and shows it nowhere. It is a paragraph.
  const paragraph = md.block.ruler.getRules("").at(-1);
  const isNote = (state, line) => /^ {0,3}\[\^[^\s\[\]^]{1,40}\]:/.test(state.src.slice(state.bMarks[line], state.eMarks[line]));
  md.block.ruler.before("reference", "note", (state, first, last, silent) =>
    isNote(state, first) && (silent || paragraph(state, first, last)), { alt: ["paragraph", "list"] });
}

function take(state, silent, pattern, of) {
  pattern.lastIndex = state.pos;
  const match = pattern.exec(state.src);
  if (match === null || pattern.lastIndex > state.posMax) return false;
  const [name, text] = of(match);
  if (!silent && name) {
    state.push(`${name}_open`, name, 1);
    state.push("text", "", 0).content = text;
    state.push(`${name}_close`, name, -1);
  } else if (!silent) state.push("hardbreak", "br", 0);
  state.pos += match[0].length;
  return true;
}
