import { describe, expect, test } from "vitest";
import { type BootEntry, makeBootEntry } from "../../../../src/core/boot/boot-menu.ts";
import {
  formatGrubConfig,
  formatGrubMenu,
  formatGrubStub,
  parseGrubMenu,
} from "../../../../src/core/boot/grub-menu.ts";
import { parseObjectId } from "../../../../src/core/digest/object-id.ts";

const rootImage = parseObjectId("ab".repeat(32), "sha256");

const entryOf = (sequence: number, prettyName = "Test OS"): BootEntry =>
  makeBootEntry({
    sequence,
    rootImage,
    osRelease: { id: "test", prettyName, version: "9" },
    kernelPath: "/osdeploy/k/vmlinuz",
    initramfsPath: "/osdeploy/k/initramfs.img",
    options: `quiet composefs=${rootImage}`,
  });

describe("formatGrubMenu", () => {
  const text = formatGrubMenu(
    [entryOf(12), entryOf(7)],
    new Map([
      [12, 2],
      [7, undefined],
    ]),
  );

  test("chooses the newest entry with tries left, the newest of all when none has, and next_entry for once", () => {
    expect(text).toContain(`load_env --file "\${osdeploy_environment}" next_entry osdeploy_tries_12 osdeploy_tries_7
export osdeploy_tries_12 osdeploy_tries_7
if [ "\${boot_once}" = true ]; then
  true
elif [ "\${osdeploy_tries_12}" != 0 ]; then
  set default=osdeploy-000012
elif [ "\${osdeploy_tries_7}" != 0 ]; then
  set default=osdeploy-000007
else
  set default=osdeploy-000012
fi
if [ -n "\${next_entry}" ]; then
  set default="\${next_entry}"
  set next_entry=
  save_env --file "\${osdeploy_environment}" next_entry
fi
`);
  });

  test("a counted entry takes one off its tries before it starts, and tells the kernel", () => {
    expect(text).toContain(`function osdeploy_start_12 {
  set osdeploy_argument=
  if [ "\${osdeploy_tries_12}" = 2 ]; then
    set osdeploy_tries_12=1
    set osdeploy_argument=osdeploy.tries=1
  elif [ "\${osdeploy_tries_12}" = 1 ]; then
    set osdeploy_tries_12=0
    set osdeploy_argument=osdeploy.tries=0
  fi
  if [ -n "\${osdeploy_argument}" ]; then
    save_env --file "\${osdeploy_environment}" osdeploy_tries_12
  fi
  if linux "(\${osdeploy_root})"'/osdeploy/k/vmlinuz' 'quiet' 'composefs=${rootImage}' 'osdeploy.entry=osdeploy-000012' \${osdeploy_argument}; then
    initrd "(\${osdeploy_root})"'/osdeploy/k/initramfs.img'
  else
    false
  fi
}
`);
  });

  test("an entry that cannot be loaded hands over to the next older one that is not given up", () => {
    expect(text).toContain(`menuentry 'Test OS (12)' --id osdeploy-000012 {
  if osdeploy_start_12; then
    true
  else
    osdeploy_try_7
  fi
}
menuentry 'Test OS (7)' --id osdeploy-000007 {
  if osdeploy_start_7; then
    true
  else
    false
  fi
}
`);
    expect(text.indexOf("function osdeploy_start_7")).toBeLessThan(text.indexOf("function osdeploy_try_12"));
  });

  test("an entry that is not counted has no cases", () => {
    expect(text).toContain(`function osdeploy_start_7 {
  set osdeploy_argument=
  if linux `);
  });

  test("a title is text, whatever it says", () => {
    const hostile = formatGrubMenu([entryOf(1, "--users='x'; reboot")], new Map());
    expect(hostile).toContain(String.raw`menuentry ' --users='\''x'\''; reboot (1)' --id osdeploy-000001 {`);
  });

  test("takes an entry that lacks what others have, and several initrds", () => {
    const fields = [
      { key: "initrd", value: "/a" },
      { key: "initrd", value: "/b" },
      { key: "options", value: "x" },
    ];
    const odd = formatGrubMenu(
      [
        { ...entryOf(1), entry: { fields } },
        { ...entryOf(0), entry: { fields: [] } },
      ],
      new Map(),
    );
    expect(odd).toContain("menuentry 'osdeploy (1)'");
    expect(odd).toContain(`  if linux '' 'x' \${osdeploy_argument}; then
    initrd "(\${osdeploy_root})"'/a' "(\${osdeploy_root})"'/b'
`);
    expect(odd).toContain(`  if linux ''  \${osdeploy_argument}; then
    true
`);
  });

  test("without entries it chooses none", () => {
    expect(formatGrubMenu([], new Map())).not.toContain("default");
  });
});

describe("parseGrubMenu", () => {
  test("gives the entries that formatGrubMenu wrote, with their tries", () => {
    const tries = new Map([
      [12, 3],
      [11, undefined],
      [2, 0],
    ]);
    expect(parseGrubMenu(formatGrubMenu([entryOf(12), entryOf(11), entryOf(2)], tries))).toEqual(tries);
    expect(parseGrubMenu(formatGrubMenu([], new Map()))).toEqual(new Map());
  });

  test.each([
    ["", "is empty"],
    ["menuentry x {\n}\n", "is somebody else's"],
    ["#entry 3 -\n#entry 2 -\n", "was cut off"],
    ["#entry 3 -\n#entries 2\n", "lost a line"],
  ])("gives nothing for a file that %s", (text) => {
    expect(parseGrubMenu(text)).toBeUndefined();
  });
});

test("formatGrubConfig: finds the partition and sources the menu", () => {
  const text = formatGrubConfig({
    fileSystemUuid: "ABCD-1234",
    directory: "/boot/grub",
    timeoutSeconds: 5,
    terminal: ["serial --unit=0", "terminal_output serial console"],
  });
  expect(text.split("\n").slice(1)).toEqual([
    "set timeout=5",
    "search --no-floppy --set=root --fs-uuid ABCD-1234",
    `set config_directory="(\${root})"'/boot/grub'`,
    "export config_directory",
    "serial --unit=0",
    "terminal_output serial console",
    `source "\${config_directory}/osdeploy.cfg"`,
    "",
  ]);
  expect(formatGrubConfig({ fileSystemUuid: "A", directory: "/grub", timeoutSeconds: 0 })).not.toContain("terminal");
});

test("formatGrubStub: hands over to grub.cfg", () => {
  expect(formatGrubStub({ fileSystemUuid: "ABCD-1234", directory: "/grub" })).toBe(
    `search --no-floppy --set=root --fs-uuid ABCD-1234\nconfigfile "(\${root})"'/grub/grub.cfg'\n`,
  );
});
