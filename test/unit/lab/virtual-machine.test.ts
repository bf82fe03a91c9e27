import { expect, test } from "vitest";
import { guestArchitecture, guestKernelArguments } from "../../../src/lab/virtual-machine.ts";
import { failure } from "../../builders/linux-machines.ts";

test("guestArchitecture: Node's word to QEMU's; others are refused", () => {
  expect(guestArchitecture("x64")).toBe("x86_64");
  expect(guestArchitecture("arm64")).toBe("aarch64");
  expect(failure(() => guestArchitecture("s390x"))).toMatchObject({
    code: "unsupported",
    message: "Cannot run virtual machines here: the lab knows x86-64 and aarch64, not s390x",
  });
});

test("guestKernelArguments: the console; for translated x86 no check of the timer", () => {
  expect(guestKernelArguments({ architecture: "x86_64", acceleration: "kvm" })).toEqual(["console=ttyS0"]);
  expect(guestKernelArguments({ architecture: "x86_64", acceleration: "tcg" })).toEqual([
    "console=ttyS0",
    "no_timer_check",
  ]);
  expect(guestKernelArguments({ architecture: "aarch64", acceleration: "tcg" })).toEqual(["console=ttyAMA0"]);
});
