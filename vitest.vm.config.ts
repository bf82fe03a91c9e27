import { defineConfig } from "vitest/config";

/** The tests on virtual machines: `npm run test:vm`. One machine at a time. */
export default defineConfig({
  test: {
    include: ["test/vm/**/*.test.ts"],
    testTimeout: 1_800_000,
    hookTimeout: 1_000_000,
    fileParallelism: false,
    // what several test files use is made once a run
    env: { OSDEPLOY_VM_RUN: `${process.pid} ${Date.now()}` },
  },
});
