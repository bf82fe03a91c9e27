import { defineConfig } from "vitest/config";

const { OSDEPLOY_VM_RUN = `${process.pid}-${Date.now()}` } = process.env;

/** The tests on virtual machines: `npm run test:vm`. Two test files at once, each with one machine of one processor. */
export default defineConfig({
  test: {
    include: ["test/vm/**/*.test.ts"],
    testTimeout: 1_800_000,
    hookTimeout: 1_000_000,
    maxWorkers: 2,
    maxConcurrency: 1,
    // what several test files use is made once a run; who gives a name goes on with that run
    env: { OSDEPLOY_VM_RUN },
  },
});
