import { type MessagePort, Worker, type WorkerOptions } from "node:worker_threads";
import { OsdeployError } from "../core/errors.ts";

/** A thread of the program. @throws OsdeployError `system` when the kernel gives none. */
export function startThread(file: URL, options: WorkerOptions): Worker {
  try {
    return new Worker(file, options);
  } catch (error) {
    throw threadError(error);
  }
}

/** The message that a thread is told to end by. */
const endOfThread = "end of thread";

/** In the thread itself: answers what it is sent, one by one, until it is told to end. */
export function serveRequests<Request>(port: MessagePort, answer: (request: Request) => void): void {
  port.on("message", (request: Request | typeof endOfThread) => {
    if (request === endOfThread) port.close();
    else answer(request);
  });
}

/**
 * Tells a thread to end, and waits until it has, which it does when it is done with all that it was sent. From outside none is
 * ended: while it loads a native module, or is in a call of one, that would be the end of the whole program.
 */
export async function endThread(worker: Worker): Promise<void> {
  const hasEnded = worker.threadId === -1;
  if (hasEnded) return;
  const ended = new Promise((done) => worker.once("exit", done));
  worker.postMessage(endOfThread);
  await ended;
}

/**
 * The error of a thread that could not begin, or could not go on, as the thread's own `error` event tells it. What the kernel
 * refused, files or threads, is nobody's bug.
 */
export function threadError(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof OsdeployError) return error;
  const { code } = error as NodeJS.ErrnoException;
  const errno = /^E[A-Z0-9]+$/.test(code ?? "") ? code : /\bE[A-Z0-9]{3,}\b/.exec(error.message)?.[0];
  const isRefusal = code === "ERR_WORKER_INIT_FAILED" || code === errno;
  if (!isRefusal || errno === undefined) return error;
  return new OsdeployError("system", `Cannot start a thread: the kernel refused (${errno})`, {
    facts: { errno },
    cause: error,
  });
}

/** So many of what `start` makes, or fewer: one does as well. @throws what `start` throws, where there is not even one. */
export function asManyAs<T>(count: number, start: (number: number) => T): readonly T[] {
  const started: T[] = [];
  try {
    while (started.length < count) started.push(start(started.length));
  } catch (error) {
    if (started.length === 0) throw error;
  }
  return started;
}
