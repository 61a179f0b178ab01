import assert from "node:assert/strict";
import test from "node:test";
import { collect, connect, openai, pixel } from "./client.mjs";

const model = "nanobot";
const see = { type: "text", text: "What do you see?" };
const asking = (...parts) => [{ role: "user", content: parts }];
const note = () => openai.toFile(Buffer.from("The launch code is kumquat."), "note.txt", { type: "text/plain" });

test("an image reaches the model", async () => {
  const answer = await connect().chat.completions.create({ model, messages: asking(see, { type: "image_url", image_url: { url: pixel } }) });
  assert.match(answer.choices[0].message.content, /images 1/);
});

test("a file in a message is read to the model", async () => {
  const file_data = "data:text/plain;base64," + Buffer.from("The launch code is kumquat.").toString("base64");
  const answer = await connect().chat.completions.create({
    model,
    messages: asking(see, { type: "file", file: { filename: "note.txt", file_data } }),
  });
  assert.match(answer.choices[0].message.content, /kumquat/);
});

test("a file is kept, listed, read and deleted", async () => {
  const client = connect();
  const made = await client.files.create({ file: await note(), purpose: "user_data" });
  assert.equal(made.filename, "note.txt");
  assert.deepEqual(
    (await collect(client.files.list())).map((file) => file.id),
    [made.id],
  );
  assert.equal((await client.files.retrieve(made.id)).bytes, 27);
  assert.equal(await (await client.files.content(made.id)).text(), "The launch code is kumquat.");
  assert.equal((await client.files.delete(made.id)).deleted, true);
  await assert.rejects(client.files.retrieve(made.id), openai.NotFoundError);
});

test("an uploaded file is read to the model by its id", async () => {
  const client = connect();
  const made = await client.files.create({ file: await note(), purpose: "user_data" });
  const answer = await client.chat.completions.create({ model, messages: asking(see, { type: "file", file: { file_id: made.id } }) });
  assert.match(answer.choices[0].message.content, /kumquat/);
});

test("a file of another session does not exist", async () => {
  const made = await connect().files.create({ file: await note(), purpose: "user_data" });
  await assert.rejects(connect().files.retrieve(made.id), openai.NotFoundError);
  await assert.rejects(connect().files.content(made.id), openai.NotFoundError);
});
