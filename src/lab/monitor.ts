import { connect, type Socket } from "node:net";
import { toText } from "../core/bytes/byte-string.ts";
import { OsdeployError } from "../core/errors.ts";
import type { Path } from "../linux/linux.ts";

/** How long QEMU may take to answer; it does at once, also when the guest hangs. */
const limitMs = 10_000;

/**
 * Lets QEMU perform one command of its machine protocol, and gives its answer.
 *
 * @throws OsdeployError `busy` where nobody listens, `system` when QEMU refuses.
 * @see https://www.qemu.org/docs/master/interop/qmp-spec.html
 */
export async function monitorCommand(
  socketPath: Path,
  command: string,
  words: Readonly<Record<string, unknown>> = {},
): Promise<unknown> {
  const socket = connect(toText(socketPath));
  try {
    const answers = messages(socket);
    await answers.next();
    socket.write('{"execute":"qmp_capabilities"}\n');
    await answer(answers, "qmp_capabilities");
    socket.write(`${JSON.stringify({ execute: command, arguments: words })}\n`);
    return await answer(answers, command);
  } finally {
    socket.destroy();
  }
}

async function answer(messagesLeft: AsyncIterator<unknown>, command: string): Promise<unknown> {
  for (;;) {
    const { value, done } = await messagesLeft.next();
    // It closes its end when the command made it quit.
    if (done === true) return undefined;
    if (typeof value !== "object" || value === null) continue;
    if ("return" in value) return value.return;
    if ("error" in value) {
      throw new OsdeployError("system", `Cannot control QEMU: ${command} gave ${JSON.stringify(value.error)}`);
    }
  }
}

/** The JSON documents that come, one a line. */
async function* messages(socket: Socket): AsyncGenerator<unknown> {
  socket.setEncoding("utf8");
  socket.setTimeout(limitMs, () => socket.destroy(new Error("no answer")));
  let pending = "";
  try {
    for await (const text of socket) {
      const lines = (pending + text).split("\n");
      pending = lines.pop() ?? "";
      for (const line of lines) yield JSON.parse(line) as unknown;
    }
  } catch (cause) {
    throw new OsdeployError("busy", "Cannot control QEMU: it does not answer", { cause });
  }
}
