// What a message holds: as chat completions show it, as the Responses API takes it, and as the page shows it.

// Return `{text, pictures, files}` of a message's content, in either form. A picture has `src` (or `href`, where it
// is elsewhere), a file `name`, and `id` where it is an upload.
export function shown(content) {
  const seen = { text: "", pictures: [], files: [] };
  if (typeof content === "string") return { ...seen, text: content };
  const texts = [];
  for (const part of content ?? []) {
    if (part.type === "text" || part.type === "input_text") texts.push(part.text);
    else if (part.type === "image_url") seen.pictures.push(picture(part.image_url.url));
    else if (part.type === "input_image" && part.image_url) seen.pictures.push(picture(part.image_url));
    else if (part.type === "input_image") seen.files.push({ name: "picture", id: part.file_id });
    else if (part.type === "file") seen.files.push({ name: part.file.filename, id: part.file.file_id });
    else if (part.type === "input_file") seen.files.push({ name: part.filename ?? "file", id: part.file_id });
    else if (part.type === "input_audio") seen.files.push({ name: `recording.${part.input_audio.format}` });
  }
  seen.text = texts.join("\n");
  return seen;
}

const picture = (url) => (/^(?:data:image\/|blob:)/i.test(url) ? { src: url } : { href: url });

// Return the content, in the form of the Responses API, to send it again with another `text`.
export function resent(content, text) {
  const parts = typeof content === "string" ? [] : (content ?? []);
  const kept = parts.map(resentPart).filter((part) => part !== null);
  return text ? [{ type: "input_text", text }, ...kept] : kept;
}

function resentPart(part) {
  switch (part.type) {
    case "image_url": return { type: "input_image", image_url: part.image_url.url };
    case "input_audio": return part;
    case "file": return part.file.file_id
      ? { type: "input_file", file_id: part.file.file_id }
      // The server kept what it read of the file.
      : { type: "input_file", filename: asTextName(part.file.filename), file_data: dataUrl(part.file.text) };
    case "input_image": case "input_file": return part;
    default: return null;
  }
}

const asTextName = (name) => (/\.(?:txt|md|csv)$/i.test(name) ? name : `${name}.txt`);

function dataUrl(text) {
  let bytes = "";
  for (const byte of new TextEncoder().encode(text ?? "")) bytes += String.fromCharCode(byte);
  return `data:text/plain;base64,${btoa(bytes)}`;
}

export function sizeInWords(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 1e6) return `${Math.round(bytes / 1000)} kB`;
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

// Ids must not repeat; `crypto.randomUUID` is missing on pages without HTTPS.
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(15));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_");
}
