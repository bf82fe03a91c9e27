let mask: number | undefined;

/** The permission bits that the kernel takes from new files of this process. Read once: nothing here changes it. */
export function maskedBits(): number {
  mask ??= process.umask();
  return mask;
}
