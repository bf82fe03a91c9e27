import { toText } from "../core/bytes/byte-string.ts";
import { OsdeployError } from "../core/errors.ts";
import { Lab } from "../lab/lab.ts";
import { missingPackages } from "../lab/lab-programs.ts";
import { sshWords, waitForSsh } from "../lab/ssh.ts";
import type { Path } from "../linux/linux.ts";
import type { System } from "./system.ts";

/** A machine, by its name. */
export interface LabMachineRequest {
  readonly lab: Path;
  readonly name: string;
}

export interface LabAttachedResult {
  readonly name: string;
  /** The exit status of the command in the guest, or of ssh itself (255). */
  readonly status: number;
}

/** Runs a command as root in the guest, on this process's terminal, or a shell where there is none. Waits for the guest. */
export async function labSsh(
  system: System,
  request: LabMachineRequest & { readonly command: readonly string[] },
): Promise<LabAttachedResult> {
  const lab = new Lab(system.linux, request.lab);
  const known = lab.getRunning(request.name);
  await waitForSsh(system.linux, known, system.signal);
  const status = await system.linux.programs.attach(sshWords(lab.paths.sshKey, known, request.command));
  return { name: request.name, status };
}

/** Gives the terminal to the guest's console, until Ctrl-]. */
export async function labConsole({ linux }: System, request: LabMachineRequest): Promise<LabAttachedResult> {
  const { paths } = new Lab(linux, request.lab).getRunning(request.name);
  const words = ["socat", "-,raw,echo=0,escape=0x1d", `UNIX-CONNECT:${escaped(paths.consoleSocket)}`] as const;
  try {
    return { name: request.name, status: await linux.programs.attach(words) };
  } catch (error) {
    if (error instanceof OsdeployError && error.code === "not-found") {
      throw missingPackages("Cannot open the console", ["socat"]);
    }
    throw error;
  }
}

/** A path inside of one of socat's addresses, where these characters end or join something. */
function escaped(path: Path): string {
  return toText(path).replace(/[\\,:!"'(){}[\]]/g, "\\$&");
}

/** A guest that writes more to its console has to be looked at in another way. */
const logLimitBytes = 256 * 1024 * 1024;

/** All that the guest's console has said. */
export async function labConsoleLog({ linux }: System, request: LabMachineRequest): Promise<Uint8Array> {
  const { paths } = new Lab(linux, request.lab).get(request.name);
  if (linux.files.lstatIfExists(paths.consoleLog) === undefined) return new Uint8Array();
  return linux.files.readFile(paths.consoleLog, logLimitBytes);
}
