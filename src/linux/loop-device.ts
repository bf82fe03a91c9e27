import { constants, openSync } from "node:fs";
import { type ByteString, fromText } from "../core/bytes/byte-string.ts";
import { systemCallError } from "./errno.ts";
import { checked, lastErrno, libc } from "./libc.ts";
import type { Path } from "./linux.ts";
import { attempt, toNodePath } from "./live-call.ts";
import { withDescriptor } from "./mount-context.ts";

/** @see loop(4) */
const loopRequests = { configure: 0x4c0a, getFree: 0x4c82 } as const;

/** LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR */
const loopFlags = 1 | 4;

const tries = 16;

/**
 * Puts `image` behind a free loop device, read-only, and opens that. The device frees itself when nobody uses it any more.
 *
 * @throws OsdeployError `busy` when others took each device that the kernel offered.
 */
export function attachLoopDevice(image: Path): number {
  const name = toNodePath(image);
  const call = { verb: "make a loop device of", path: image };
  return withDescriptor(
    attempt(call, () => openSync(name, constants.O_RDONLY)),
    (file) =>
      withDescriptor(openDevice(fromText("/dev/loop-control")), (control) => {
        for (let left = tries; left > 0; left--) {
          const number = checked(libc().ioctlNumber(control, loopRequests.getFree, 0), call);
          const device = openDevice(fromText(`/dev/loop${number}`));
          if (libc().ioctl(device, loopRequests.configure, loopConfig(file)) >= 0) return device;
          const errno = lastErrno();
          withDescriptor(device, () => undefined);
          if (errno !== "EBUSY") throw systemCallError(call, errno);
        }
        throw systemCallError(call, "EBUSY");
      }),
  );
}

function openDevice(path: ByteString): number {
  return attempt({ verb: "open", path }, () => openSync(path, constants.O_RDONLY));
}

/** `struct loop_config`: descriptor, block size (32 bits each), `struct loop_info64` with the flags at 52, reserved. */
export function loopConfig(file: number): Uint8Array {
  const config = new Uint8Array(304);
  const fields = new DataView(config.buffer);
  fields.setUint32(0, file, true);
  fields.setUint32(8 + 52, loopFlags, true);
  return config;
}
