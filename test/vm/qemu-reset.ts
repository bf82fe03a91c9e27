import type { ChildProcess } from "node:child_process";
import { connect } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

/**
 * The words that end QEMU where the guest resets the machine, and let {@link wasReset} know. Another QEMU is to go on: what a
 * translator keeps of one boot costs it more in the next than to begin anew, because memory is written again, page by
 * page, over code that it has translated.
 */
export function endsAtReset(eventsSocket: string): readonly string[] {
  return ["-action", "reboot=shutdown", "-qmp", `unix:${eventsSocket.replaceAll(",", ",,")},server=on,wait=off`];
}

/** Waits for QEMU's end; whether that was a reset, which looks the same to who only sees the process. */
export async function wasReset(qemu: ChildProcess, eventsSocket: string): Promise<boolean> {
  for (;;) {
    const told = await allTold(eventsSocket);
    if (told !== "") return /"event": "SHUTDOWN".*"reason": "guest-reset"/.test(told);
    if (qemu.exitCode !== null || qemu.signalCode !== null) return false;
    await pause(50);
  }
}

/** All that a monitor of QEMU tells by itself until its end; nothing where none listens yet. */
async function allTold(socketPath: string): Promise<string> {
  const socket = connect(socketPath);
  let told = "";
  socket.setEncoding("utf8").on("data", (text) => (told += text));
  socket.on("error", () => undefined);
  socket.write('{"execute":"qmp_capabilities"}\n');
  return await new Promise((resolve) => socket.on("close", () => resolve(told)));
}
