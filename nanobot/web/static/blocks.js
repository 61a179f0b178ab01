// Where a Markdown text that is still growing can be cut: what stands before a cut will never look different.

const FENCE = /^[ \t]*(`{3,}|~{3,})(.*)$/;
const LIST_ITEM = /^ {0,3}(?:[-*+]|\d{1,9}[.)])(?:\s|$)/;
// A longer list is cut all the same: rendering it again and again would take too long.
const LONGEST_LIST = 4000;

// Return the offsets at which `text` can be cut, from `start` on, where a block begins.
export function cuts(text, start = 0) {
  const places = [];
  let fence = null;
  let begin = start;
  let isList = false;
  let afterBlank = false;
  let isFirst = true;
  for (let at = start; at < text.length;) {
    const newline = text.indexOf("\n", at);
    // The last line may still grow; what it is can only be told when it is whole.
    if (newline < 0) break;
    const line = text.slice(at, newline);
    const isBlank = line.trim() === "";
    if (fence === null && afterBlank && !isBlank && continuesNothing(line, isList, at - begin)) {
      places.push(at);
      begin = at;
      isFirst = true;
    }
    if (isFirst && !isBlank) {
      isList = LIST_ITEM.test(line);
      isFirst = false;
    }
    const mark = FENCE.exec(line);
    if (mark !== null) {
      const [, run, info] = mark;
      if (fence === null) {
        if (run[0] === "~" || !info.includes("`")) fence = run;
      } else if (run[0] === fence[0] && run.length >= fence.length && info.trim() === "") fence = null;
    }
    afterBlank = isBlank && fence === null;
    at = newline + 1;
  }
  return places;
}

function continuesNothing(line, isList, length) {
  if (!isList) return !/^[ \t]/.test(line);
  if (length > LONGEST_LIST) return !/^[ \t]/.test(line);
  return !/^[ \t]/.test(line) && !LIST_ITEM.test(line);
}
