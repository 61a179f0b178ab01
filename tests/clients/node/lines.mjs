// A reporter for node's test runner: one line of JSON for each test.
export default async function* lines(source) {
  for await (const event of source) {
    if (event.type === "test:pass" || event.type === "test:fail") {
      const error = event.data.details.error;
      const why = error ? String(error.cause?.stack ?? error.stack ?? error) : "";
      yield JSON.stringify({ name: event.data.name, passed: event.type === "test:pass", why }) + "\n";
    }
  }
}
