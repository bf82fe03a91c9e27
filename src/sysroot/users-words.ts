import { toText } from "../core/bytes/byte-string.ts";
import { OsdeployError } from "../core/errors.ts";
import type { Path } from "../linux/linux.ts";

/** A path of this process's own for a place, and the one by which users know it. */
export interface View {
  readonly path: Path;
  readonly shown: Path;
}

/** The sights of a running system's mounts have names that say nothing to anybody: errors tell the users' instead. */
export function inUsersWords<T>(error: T, views: readonly View[]): T | OsdeployError {
  const own = views.filter(({ path, shown }) => path !== shown);
  if (!(error instanceof OsdeployError) || own.length === 0) return error;
  const reword = (text: string) => own.reduce(replaceView, text);
  const facts = Object.entries(error.facts).map(([name, value]) => [
    name,
    typeof value === "string" ? reword(value) : value,
  ]);
  return new OsdeployError(error.code, reword(error.message), {
    facts: Object.fromEntries(facts),
    cause: error.cause,
  });
}

/** A path by which users know what is at `path`. */
export function usersPath(path: Path, views: readonly View[]): Path {
  const view = views.find((each) => path === each.path || path.startsWith(`${each.path}/`));
  return view === undefined ? path : (`${view.shown}${path.slice(view.path.length)}` as Path);
}

/** Where a longer name only begins like it, as `/proc/self/fd/20` like `/proc/self/fd/2`, another one is meant. */
function replaceView(text: string, { path, shown }: View): string {
  const [first = "", ...others] = text.split(path);
  return others.reduce((before, after) => `${before}${/^\d/.test(after) ? path : toText(shown)}${after}`, first);
}
