import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findTool } from "../tools/find-tool.ts";
import { cannotMount } from "../tools/seen-tree.ts";
import { type SeenMount, type SetUp, Sysroot } from "../tools/setup-root.ts";

const reason =
  cannotMount() ?? (findTool("fsverity") === undefined ? "there is no fsverity: test/setup.sh" : undefined);
const otherId = "b".repeat(128);

describe.skipIf(reason !== undefined)(`boot/setup-root${reason === undefined ? "" : ` (${reason})`}`, () => {
  let sysroot: Sysroot;
  beforeAll(async () => {
    sysroot = await Sysroot.make();
  });
  afterAll(() => sysroot.remove());

  describe("a root that may be entered", () => {
    let run: SetUp;
    beforeAll(() => {
      run = sysroot.setUp({
        arguments: `quiet composefs=${sysroot.id} rw`,
        sealed: true,
        look: "echo new >etc/new; echo new >var/new; echo new >usr/new; echo new >sysroot/new; cat sysroot/state/os/default/var/new",
      });
    });

    test("is an overlay that is read-only, verified, and named after its root image", () => {
      expect(run).toMatchObject({ status: 0, console: "" });
      expect(mountAt(run, "/")).toMatchObject({ type: "overlay", source: `composefs:${sysroot.id}` });
      expect(mountAt(run, "/").options).toEqual(
        expect.arrayContaining(["ro", "redirect_dir=on", "metacopy=on", "verity=require"]),
      );
    });

    test("has /etc and /var of the deployment, and the disk's root, which is read-only", () => {
      expect(run.mounts.map(({ at }) => at)).toEqual(["/", "/etc", "/var", "/sysroot"]);
      expect(mountAt(run, "/etc").shows).toBe(`/state/deploy/${sysroot.id}/etc`);
      expect(mountAt(run, "/var").shows).toBe("/state/os/default/var");
      expect(mountAt(run, "/sysroot").options).toContain("ro");
      expect(run.seen.match(/cannot create (\S+)/g)).toEqual(["cannot create usr/new:", "cannot create sysroot/new:"]);
      expect(run.seen).toMatch(/new\n$/);
    });
  });

  const makeReadOnly = 'mount -o remount,ro "$(findmnt -no TARGET -T .)"';

  test("a disk's root that is read-only so far: the deployment's /etc can be written to", () => {
    const look = "echo new >etc/new; cat etc/new";
    const run = sysroot.setUp({ arguments: `composefs=?${sysroot.id} ro`, prepare: makeReadOnly, look });
    expect(run).toMatchObject({ status: 0, seen: "new\n" });
  });

  describe("which root image", () => {
    test("composefs=?ID: one that is not sealed is compared with its name, and its files are there", () => {
      const run = sysroot.setUp({ arguments: `composefs=?${sysroot.id}`, look: "cat usr/lib/libc.so" });
      expect(run.status).toBe(0);
      expect(run.console).toContain("is not sealed by fs-verity, so files are not verified");
      expect(mountAt(run, "/").options.filter((option) => option.startsWith("verity"))).toEqual([]);
      expect(run.seen).toHaveLength(9000);
    });

    test("composefs=?ID: the files of one that is sealed are verified all the same", () => {
      const run = sysroot.setUp({ arguments: `composefs=?${sysroot.id}`, sealed: true });
      expect(run).toMatchObject({ status: 0, console: "" });
      expect(mountAt(run, "/").options).toContain("verity=require");
    });

    test.each([
      ["composefs.digest=", (id: string) => `composefs.digest=v1-sha512-12:${id}`],
      [
        "the first of several that the repo has",
        (id: string) => `composefs=${otherId} composefs.digest=v1-sha512-12:${id}`,
      ],
    ])("%s", (_name, words) => {
      const run = sysroot.setUp({ arguments: words(sysroot.id), sealed: true });
      expect(run.status).toBe(0);
      expect(mountAt(run, "/").source).toBe(`composefs:${sysroot.id}`);
    });

    test.each([
      ["none", "quiet", "the kernel's arguments name no root image"],
      ["only in a quoted word", `note="a composefs=${otherId} b"`, "the kernel's arguments name no root image"],
      ["one that is no digest", "composefs=../../etc", "the kernel's arguments name no root image"],
      ["one that the repo has not", `composefs=${otherId}`, `the repo has no root image ${otherId}`],
    ])("%s: refuses", (_name, words, message) => {
      const run = sysroot.setUp({ arguments: words, sealed: true });
      expect(run).toMatchObject({ status: 1, rebooted: false });
      expect(run.console).toContain(`<3>osdeploy: Cannot boot this deployment: ${message}`);
      expect(run.mounts.map(({ source }) => source)).toEqual(["disk"]);
    });
  });

  describe("a root image that is not what its name says", () => {
    const entry = "osdeploy.entry=osdeploy-000002";
    const entries =
      "mkdir -p boot/loader/entries; rm boot/loader/entries/*; cd boot/loader/entries; echo 1 >osdeploy-000001.conf; echo 2 >osdeploy-000002+2-1.conf";
    const swap = `(cd composefs/images && ln -s "$(readlink ID)" ${otherId}); ${entries}`;

    test("swapped: is given up, the reason is kept, and the next entry boots", () => {
      const run = sysroot.setUp({
        arguments: `composefs=${otherId} ${entry}`,
        sealed: true,
        prepare: swap.replace("ID", sysroot.id),
      });
      expect(run.rebooted).toBe(true);
      expect(run.console).toContain("Rebooting, so that the loader starts osdeploy-000001");
      const why = `root image ${otherId} measures to sha512:${sysroot.id}`;
      expect(Object.fromEntries(run.disk)).toEqual({
        "boot/loader/entries/osdeploy-000001.conf": "1\n",
        "boot/loader/entries/osdeploy-000002+0-1.conf": "2\n",
        "state/osdeploy/boot-failures/osdeploy-000002": `damaged: ${why}\n`,
      });
    });

    test.each([
      ["not sealed", "", `composefs=ID ${entry}`, /is not sealed by fs-verity/],
      ["not named by the arguments", "", entry, /name no root image/],
      [
        "not sealed, and changed",
        "printf x | dd conv=notrunc of=composefs/images/ID bs=1 seek=5000",
        `composefs=?ID ${entry}`,
        /measures to sha512:/,
      ],
    ])("%s: is given up", (_name, prepare, words, message) => {
      const run = sysroot.setUp({
        arguments: words.replace("ID", sysroot.id),
        prepare: `${prepare.replace("ID", sysroot.id)}\n${entries}`,
      });
      expect(run.rebooted).toBe(true);
      expect(run.disk.get("state/osdeploy/boot-failures/osdeploy-000002")).toMatch(message);
      expect(run.disk.has("boot/loader/entries/osdeploy-000002+0-1.conf")).toBe(true);
    });

    test("damaged where nothing was measured: is read to its end, and given up", () => {
      const program = '#!/bin/sh\\necho "cat: -: Input/output error" >&2\\nexit 1\\n';
      const run = sysroot.setUp({
        arguments: `composefs=?${sysroot.id} ${entry}`,
        prepare: `printf '${program}' >../programs/cat; chmod +x ../programs/cat; ${entries}`,
      });
      expect(run.rebooted).toBe(true);
      expect(run.disk.get("state/osdeploy/boot-failures/osdeploy-000002")).toBe(
        `damaged: cannot read root image ${sysroot.id}: cat: -: Input/output error\n`,
      );
    });

    test("what the image lacks is recorded as no damage of the disk", () => {
      const run = sysroot.setUp({
        arguments: `composefs=?${sysroot.id} ${entry}`,
        prepare: entries,
        config: "nonsense = 1\n",
      });
      expect(run.rebooted).toBe(true);
      expect(run.disk.get("state/osdeploy/boot-failures/osdeploy-000002")).toMatch(/^cannot read /);
    });

    test("an entry that was good before: gets no tries at all", () => {
      const run = sysroot.setUp({
        arguments: `composefs=${otherId} ${entry}`,
        prepare: `${entries}; mv osdeploy-000002+2-1.conf osdeploy-000002.conf`,
      });
      expect(run.rebooted).toBe(true);
      expect(run.disk.get("boot/loader/entries/osdeploy-000002+0.conf")).toBe("2\n");
    });

    test("on a disk whose root is read-only so far: the entry is given up all the same", () => {
      const prepare = `${entries}; ${makeReadOnly}`;
      const run = sysroot.setUp({ arguments: `composefs=${otherId} ${entry}`, prepare });
      expect(run.rebooted).toBe(true);
      expect(run.disk.has("boot/loader/entries/osdeploy-000002+0-1.conf")).toBe(true);
    });

    test.each([
      ["there is no other entry", "rm osdeploy-000001.conf"],
      ["the other entry is given up too", "mv osdeploy-000001.conf osdeploy-000001+0-3.conf"],
    ])("%s: nothing is changed but the reason, and there is no reboot that would come back here", (_name, prepare) => {
      const run = sysroot.setUp({ arguments: `composefs=${otherId} ${entry}`, prepare: `${entries}; ${prepare}` });
      expect(run).toMatchObject({ rebooted: false, status: 1 });
      expect(run.disk.has("boot/loader/entries/osdeploy-000002+2-1.conf")).toBe(true);
      expect(run.disk.has("state/osdeploy/boot-failures/osdeploy-000002")).toBe(true);
    });

    test("GRUB: the tries in its environment are used up, and nothing else in it changes", () => {
      const environment = "# GRUB Environment Block\\nsaved_entry=a\\nosdeploy_tries_2=2\\nother=b c\\n";
      const run = sysroot.setUp({
        arguments: `composefs=${otherId} ${entry}`,
        prepare: `${entries}; mkdir ../../grub; printf '${environment}' >../../grub/grubenv; truncate -s 1024 ../../grub/grubenv; tr '\\0' '#' <../../grub/grubenv >x; mv x ../../grub/grubenv`,
      });
      expect(run.rebooted).toBe(true);
      const written = run.disk.get("boot/grub/grubenv") ?? "";
      expect(written).toHaveLength(1024);
      expect(written.replace(/#+$/, "")).toBe(
        "# GRUB Environment Block\nsaved_entry=a\nother=b c\nosdeploy_tries_2=0\n",
      );
      // The name stays: a later blessing clears the variable only.
      expect(run.disk.has("boot/loader/entries/osdeploy-000002+2-1.conf")).toBe(true);
    });

    test.each([
      ["systemd-boot", "mv osdeploy-000002+2-1.conf osdeploy-000002+0-3.conf"],
      ["GRUB", "mkdir ../../grub; echo osdeploy_tries_2=0 >../../grub/grubenv"],
    ])("%s starts it although it is given up: there is no reboot that would come back here", (_name, prepare) => {
      const run = sysroot.setUp({ arguments: `composefs=${otherId} ${entry}`, prepare: `${entries}; ${prepare}` });
      expect(run).toMatchObject({ rebooted: false, status: 1 });
    });

    test.each(["umask=0077,nosuid", "umask=0077,nofail,nosuid"])("the boot partition is looked at: %s", (options) => {
      const run = sysroot.setUp({
        arguments: `composefs=${otherId} ${entry} systemd.mount-extra=none:/boot:tmpfs:${options}`,
        prepare: entries,
      });
      expect(run.console).not.toContain("Cannot mount the boot partition");
      expect(run.mounts.filter(({ at }) => at.endsWith("/boot"))).toEqual([]);
      // It is empty: the directory on the disk, which has another entry, is not asked.
      expect(run).toMatchObject({ rebooted: false, status: 1 });
    });

    test("another partition below /boot is no boot partition: the directory on the disk is looked at", () => {
      const run = sysroot.setUp({
        arguments: `composefs=${otherId} ${entry} systemd.mount-extra=none:/boot/efi:tmpfs:nofail`,
        prepare: entries,
      });
      expect(run.rebooted).toBe(true);
      expect(run.disk.has("boot/loader/entries/osdeploy-000002+0-1.conf")).toBe(true);
    });

    test("GRUB: an entry without tries is no other entry", () => {
      const run = sysroot.setUp({
        arguments: `composefs=${otherId} ${entry}`,
        prepare: `${entries}; mkdir ../../grub; echo osdeploy_tries_1=0 >../../grub/grubenv`,
      });
      expect(run).toMatchObject({ rebooted: false, status: 1 });
    });
  });

  describe("a failure that is not the entry's", () => {
    const prepare =
      "rm -r composefs/images; mkdir -p boot/loader/entries; echo 9 >boot/loader/entries/osdeploy-000009.conf";
    const words = "osdeploy.entry=osdeploy-000001";

    test.each([
      ["by systemd-boot", words, true, ""],
      [
        "by GRUB",
        `${words} osdeploy.tries=2`,
        false,
        "; mkdir boot/grub; echo osdeploy_tries_9=1 >boot/grub/grubenv; echo osdeploy_tries_1=2 >>boot/grub/grubenv",
      ],
    ])("a boot counted %s: reboots, which uses up a try", (_name, extra, counted, grubenv) => {
      const run = sysroot.setUp({ arguments: `composefs=${sysroot.id} ${extra}`, prepare: prepare + grubenv, counted });
      expect(run.rebooted).toBe(true);
      expect(run.disk.get("state/osdeploy/boot-failures/osdeploy-000001")).toContain("there is no composefs repo");
      expect([...run.disk.keys()].filter((path) => path.includes("+0"))).toEqual([]);
    });

    test.each([
      ["of ours", "osdeploy-000001+2-1.conf", true, "osdeploy-000001"],
      ["of ours, after its last try", "osdeploy-000001+0-4.conf", false, "osdeploy-000001"],
      ["of another", "mine+2-1.conf", true, undefined],
    ])("the arguments stand behind a quote that is left open, in an entry %s", (_name, counted, rebooted, named) => {
      const run = sysroot.setUp({ arguments: `rw x="y composefs=${sysroot.id} ${words}`, counted });
      expect(run.rebooted).toBe(rebooted);
      const failures = [...run.disk].filter(([path]) => path.includes("boot-failures"));
      const reason = "the kernel's arguments name no root image (composefs=ID)\n";
      expect(failures).toEqual(named === undefined ? [] : [[`state/osdeploy/boot-failures/${named}`, reason]]);
    });

    test.each([
      ["Input/output error", "damage of the disk", "damaged: "],
      ["Structure needs cleaning", "damage of the disk", "damaged: "],
      ["No such device", "what it is", ""],
    ])("a mount that fails with %j: is recorded as %s", (error, _name, kind) => {
      const program = `case $* in *overlay*) echo "${error}" >&2; exit 32 ;; esac; exec /bin/mount "$@"`;
      const run = sysroot.setUp({
        arguments: `composefs=?${sysroot.id} ${words}`,
        prepare: `printf '#!/bin/sh\n%s\n' '${program}' >../programs/mount; chmod +x ../programs/mount`,
      });
      expect(run).toMatchObject({ rebooted: false, status: 1 });
      expect(run.disk.get("state/osdeploy/boot-failures/osdeploy-000001")).toBe(
        `${kind}cannot mount the root: ${error}\n`,
      );
    });

    test("a boot that is not counted: does not reboot, because the same entry would start again", () => {
      const run = sysroot.setUp({ arguments: `composefs=${sysroot.id} ${words}`, prepare });
      expect(run).toMatchObject({ rebooted: false, status: 1 });
    });

    test("a deployment without its /etc: is refused by that name", () => {
      const run = sysroot.setUp({
        arguments: `composefs=?${sysroot.id}`,
        prepare: `rm -r state/deploy/${sysroot.id}/etc`,
      });
      expect(run.status).toBe(1);
      expect(run.console).toMatch(/Cannot boot this deployment: the deployment has no \/etc: \S+\/etc is missing/);
    });
  });

  describe("setup-root-conf.toml", () => {
    const look = "echo new >etc/motd; cat sysroot/state/deploy/*/etc/motd; find sysroot/state/deploy/*/etc -name upper";
    const setUp = (config: string) => sysroot.setUp({ arguments: `composefs=?${sysroot.id}`, config, look });

    test("overlay: what is changed in /etc is kept beside the image's own", () => {
      const run = setUp('[etc]\nmount = "overlay" # as composefs-rs does by itself\n');
      expect(run.status).toBe(0);
      expect(mountAt(run, "/etc")).toMatchObject({ type: "overlay", source: "osdeploy:etc" });
      expect(run.seen).toContain(`sysroot/state/deploy/${sysroot.id}/etc/upper`);
    });

    test.each(['etc.mount = "transient"', "[etc]\ntransient = true"])(
      "%s: what is changed in /etc is not kept",
      (config) => {
        const run = setUp(config);
        expect(run.status).toBe(0);
        expect(mountAt(run, "/etc")).toMatchObject({ type: "overlay", source: "osdeploy:etc" });
        expect(run.seen).not.toContain("new");
      },
    );

    test("overlay: everybody may look at what is changed, and only the kernel at its own directory", () => {
      const config = 'etc.mount = "overlay"';
      const run = sysroot.setUp({
        arguments: `composefs=?${sysroot.id}`,
        config,
        look: "cd sysroot/state/deploy/*/etc; stat -c '%a %n' upper work",
      });
      expect(run.seen).toBe("755 upper\n700 work\n");
    });

    test.each(["state", "overlay"])("systemd.volatile=%s: systemd makes /var, and not the deployment", (value) => {
      const run = sysroot.setUp({ arguments: `composefs=?${sysroot.id} systemd.volatile=${value}` });
      expect(run.mounts.map(({ at }) => at)).toEqual(["/", "/etc", "/sysroot"]);
    });

    test("none: /var is the image's", () => {
      const run = setUp('[var]\nmount = "none"\n[etc]\ntransient = false\n');
      expect(run.mounts.map(({ at }) => at)).toEqual(["/", "/etc", "/sysroot"]);
    });

    test("a transient root: can be written to, and is still told by its root image", () => {
      const config = "[root]\ntransient = true\n";
      const run = sysroot.setUp({
        arguments: `composefs=?${sysroot.id}`,
        config,
        look: "echo new >usr/new; cat usr/new",
      });
      expect(run).toMatchObject({ status: 0, seen: "new\n" });
      expect(mountAt(run, "/").source).toBe(`composefs:${sysroot.id}`);
    });

    test("a line that means nothing: is refused by its number", () => {
      const run = setUp('[etc]\n\nmount = "sometimes"\n');
      expect(run.status).toBe(1);
      expect(run.console).toContain('line 3 is none of [etc|var].mount="none|bind|overlay|transient"');
    });
  });
});

function mountAt(run: SetUp, at: string): SeenMount {
  const found = run.mounts.findLast((mount) => mount.at === at);
  if (found === undefined) throw new Error(`nothing is mounted at ${at}: ${run.stderr}`);
  return found;
}
