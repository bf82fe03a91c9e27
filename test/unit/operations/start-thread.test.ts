import { MessageChannel } from "node:worker_threads";
import { expect, test } from "vitest";
import { OsdeployError } from "../../../src/core/errors.ts";
import { asManyAs, endThread, serveRequests, startThread, threadError } from "../../../src/operations/start-thread.ts";

test.each([
  [
    "a thread that the kernel does not give",
    "ERR_WORKER_INIT_FAILED",
    "Worker initialization failure: EMFILE",
    "EMFILE",
  ],
  ["a file that it needs and cannot open", "EMFILE", "EMFILE: too many open files, open '/x.js'", "EMFILE"],
  ["none of the kernel's", "ERR_WORKER_OUT_OF_MEMORY", "reached its limit", undefined],
  ["one without a code", undefined, "EMFILE", undefined],
])("the error event of a thread: %s", (_, code, message, errno) => {
  const error = Object.assign(new Error(message), { code });
  const expected = `Cannot start a thread: the kernel refused (${errno})`;
  if (errno === undefined) expect(threadError(error)).toBe(error);
  else expect(threadError(error)).toMatchObject({ code: "system", message: expected, facts: { errno } });
});

test("the error event of a thread: what is no error of the kernel's stays", () => {
  const ours = new OsdeployError("no-space", "Cannot write");
  expect(threadError(ours)).toBe(ours);
  expect(threadError("thrown")).toBe("thrown");
});

test("startThread: what is wrong with its words stays a bug", () => {
  expect(() => startThread(new URL("https://example.com/x.js"), {})).toThrow(TypeError);
});

test("asManyAs: all, or those that came before one failed; with none it is told", () => {
  const until = (limit: number) => (number: number) => {
    if (number === limit) throw new Error(`no ${number}`);
    return number;
  };
  expect(asManyAs(3, until(9))).toEqual([0, 1, 2]);
  expect(asManyAs(3, until(2))).toEqual([0, 1]);
  expect(() => asManyAs(3, until(0))).toThrow("no 0");
});

test("serveRequests: answers one by one, until it is told to end", async () => {
  const { port1, port2 } = new MessageChannel();
  const answered: string[] = [];
  serveRequests<string>(port2, (request) => answered.push(request));
  const closed = new Promise((done) => port1.on("close", done));
  for (const message of ["one", "end", "end of thread"]) port1.postMessage(message);
  await closed;
  expect(answered).toEqual(["one", "end"]);
});

/** A thread of these words. */
const threadOf = (text: string) => startThread(new URL(`data:text/javascript,${encodeURIComponent(text)}`), {});

test("endThread: a thread answers what it was sent before, and has ended then; once more is nothing", async () => {
  const thread = threadOf(`
    import { parentPort } from "node:worker_threads";
    parentPort.on("message", (m) => (m === "end of thread" ? parentPort.close() : parentPort.postMessage(m + "!")));
  `);
  const answers: string[] = [];
  thread.on("message", (answer: string) => answers.push(answer));
  thread.postMessage("one");
  thread.postMessage("two");
  await endThread(thread);
  expect(answers).toEqual(["one!", "two!"]);
  expect(thread.threadId).toBe(-1);
  await endThread(thread);
});

test("endThread: a thread that broke has ended", async () => {
  const thread = threadOf("throw new Error('broken')");
  const errors: unknown[] = [];
  thread.on("error", (error) => errors.push(error));
  await endThread(thread);
  expect(errors).toMatchObject([{ message: "broken" }]);
});
