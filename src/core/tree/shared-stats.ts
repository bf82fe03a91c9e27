import type { Stat } from "./inode.ts";

/** Makes stats, one for files that follow each other and agree in all of it: many do. */
export class SharedStats {
  #stat: Stat = { permissions: 0, uid: 0, gid: 0, mtimeSeconds: 0n, mtimeNanoseconds: 0 };
  #seconds = 0;
  #bigSeconds = 0n;

  /** `seconds`, exact in a double, as the bigint that a stat has; that costs more than a look at the last one. */
  toBig(seconds: number): bigint {
    if (this.#seconds !== seconds) {
      this.#seconds = seconds;
      this.#bigSeconds = BigInt(seconds);
    }
    return this.#bigSeconds;
  }

  /** A stat like `wanted`: the last one, where it is. */
  get(wanted: Stat): Stat {
    const { permissions, uid, gid, mtimeSeconds, mtimeNanoseconds } = wanted;
    const last = this.#stat;
    const isSame =
      last.permissions === permissions &&
      last.uid === uid &&
      last.gid === gid &&
      last.mtimeSeconds === mtimeSeconds &&
      last.mtimeNanoseconds === mtimeNanoseconds;
    if (!isSame) this.#stat = wanted;
    return this.#stat;
  }
}
