import { OsdeployError } from "../../src/core/errors.ts";
import type { LinuxPrograms, StartedProgram } from "../../src/linux/linux.ts";
import type { FakeLinuxOptions } from "./fake-linux.ts";

/** The programs of a fake machine: what its options say. Those that were started run until a signal ends them. */
export function fakePrograms(options: FakeLinuxOptions): LinuxPrograms {
  const running = new Map<number, StartedProgram>();
  const isRunning = ({ pid, startTicks }: StartedProgram) => running.get(pid)?.startTicks === startTicks;
  let started = 0;
  return {
    run: options.runProgram ?? refuse,
    runAside: async (words, how) => (options.runProgram ?? refuse)(words, how),
    attach: async (words, how) => await (options.attachProgram ?? refuse)(words, how),
    start: (words, how) => {
      (options.startProgram ?? refuse)(words, how);
      started += 1;
      const program = { pid: 1000 + started, startTicks: started };
      running.set(program.pid, program);
      return program;
    },
    isRunning,
    signal: (program) => isRunning(program) && running.delete(program.pid),
  };
}

function refuse([program]: readonly [string, ...string[]]): never {
  throw new OsdeployError("not-found", `Cannot run ${program}: there is no such program`);
}
