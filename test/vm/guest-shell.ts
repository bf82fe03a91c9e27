/** The guest's second serial port, on which its shell listens. */
const port = "/dev/ttyS1";

/** A root shell on the second serial port, as soon as the system's own file systems are there; not in the initramfs. */
const unit = `[Unit]
Description=Shell of the tests
DefaultDependencies=no
After=sysinit.target
Conflicts=shutdown.target
Before=shutdown.target
ConditionPathExists=!/etc/initrd-release

[Service]
ImportCredential=test.shell
ExecStart=/bin/sh -c '. "$$CREDENTIALS_DIRECTORY/test.shell"'
StandardInput=tty-force
StandardOutput=tty
StandardError=journal
TTYPath=${port}
Environment=HOME=/root TERM=dumb
KillMode=process
`;

/**
 * A command a line, each with an id, in base64, so that no byte means anything to the line; and so its output.
 */
const script = `stty -F ${port} raw -echo
work=/run/test-shell
mkdir -p $work
cd /
printf '@ready %s\\n' "$(cat /proc/sys/kernel/random/boot_id)"
while read -r id text; do
  printf %s "$text" | base64 -d >$work/command
  sh $work/command >$work/stdout 2>$work/stderr </dev/null
  status=$?
  printf '@begin %s\\n%s\\n%s\\n@end %s %s\\n' "$id" "$(base64 -w 0 $work/stdout)" "$(base64 -w 0 $work/stderr)" "$id" "$status"
done
`;

/** The credentials that give a guest its shell, without a change to its disk. @see systemd.system-credentials(7) */
export const shellCredentials: Readonly<Record<string, string>> = {
  "systemd.extra-unit.test-shell.service": unit,
  "systemd.unit-dropin.sysinit.target~test-shell": "[Unit]\nWants=test-shell.service\n",
  "test.shell": script,
};

/** What the shell says when it is there, once a boot. */
export const readyPattern = /^@ready (\S+)$/m;

/** What goes to the shell. */
export function commandLine(id: number, command: string): string {
  return `${id} ${Buffer.from(command).toString("base64")}\n`;
}

/** What a command in the guest did. */
export interface Step {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The answer to a command in what the shell has said; undefined as long as it is not complete. */
export function findAnswer(said: string, id: number): Step | undefined {
  const pattern = new RegExp(`@begin ${id}\\r?\\n(.*?)\\r?\\n(.*?)\\r?\\n@end ${id} (\\d+)\\r?\\n`);
  const [, stdout, stderr, status] = pattern.exec(said) ?? [];
  if (stdout === undefined || stderr === undefined || status === undefined) return undefined;
  const text = (base64: string) => Buffer.from(base64, "base64").toString("utf8");
  return { status: Number(status), stdout: text(stdout), stderr: text(stderr) };
}
