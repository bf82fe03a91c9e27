// make-dump.mjs COUNT FILE: a composefs-dump(5) text of COUNT entries, shaped like an operating system's tree.
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";

const [, , countText, file] = process.argv;
const count = Number(countText);
const filesPerDirectory = 40;
const label = "security.selinux=system_u:object_r:usr_t:s0";
const lines = [
  `/ 4096 40755 2 0 0 0 1700000000.0 - - - ${label}`,
  `/usr 4096 40755 2 0 0 0 1700000000.0 - - - ${label}`,
];
let directory = "";
for (let i = 0; lines.length < count; i++) {
  if (i % filesPerDirectory === 0) {
    directory = `/usr/directory-${Math.floor(i / filesPerDirectory)}`;
    lines.push(`${directory} 4096 40755 2 0 0 0 1700000000.0 - - - ${label}`);
  }
  const digest = createHash("sha256").update(`${i}`).digest("hex");
  const payload = `${digest.slice(0, 2)}/${digest.slice(2)}`;
  const path = `${directory}/lib-file-number-${i}.so`;
  if (i % 10 === 9) lines.push(`${path} 12 120777 1 0 0 0 ${1700000000 + i}.0 lib-target-${i} - - ${label}`);
  else lines.push(`${path} ${1000 + i} 100644 1 0 0 0 ${1700000000 + (i % 999)}.0 ${payload} - ${digest} ${label}`);
}
writeFileSync(file, `${lines.join("\n")}\n`);
