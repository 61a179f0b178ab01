// Colours for code. The highlighter is loaded when the first code comes, each grammar when its language does.

const GRAMMARS = [
  "bash", "cpp", "diff", "dockerfile", "go", "ini", "java", "javascript", "json", "python", "rust", "shell", "sql",
  "xml", "yaml",
];
const ALIASES = {
  c: "cpp", "c++": "cpp", console: "shell", docker: "dockerfile", golang: "go", html: "xml",
  js: "javascript", jsx: "javascript", patch: "diff", py: "python", rs: "rust", sh: "bash", svg: "xml",
  toml: "ini", ts: "javascript", tsx: "javascript", typescript: "javascript", yml: "yaml", zsh: "bash",
};

let core = null;
const loading = new Map();

const known = (name) => (GRAMMARS.includes(name) ? name : (Object.hasOwn(ALIASES, name) ? ALIASES[name] : null));

// Return the code as HTML; null where the grammar is not there (yet).
export function highlighted(code, name) {
  const grammar = known(name);
  if (grammar === null || core === null || !core.getLanguage(grammar)) return null;
  return core.highlight(code, { language: grammar, ignoreIllegals: true }).value;
}

// Load the grammar; return a promise, or null where there is none for the language or it has been loaded.
export function grammarOf(name) {
  const grammar = known(name);
  if (grammar === null || core?.getLanguage(grammar)) return null;
  if (!loading.has(grammar)) {
    const loaded = load(grammar);
    loading.set(grammar, loaded);
    loaded.catch(() => loading.delete(grammar));
  }
  return loading.get(grammar);
}

async function load(grammar) {
  const [library, language] = await Promise.all([
    import("./vendor/highlight.mjs"),
    import(`./vendor/highlight-${grammar}.mjs`),
  ]);
  core = library.default;
  core.registerLanguage(grammar, language.default);
}
