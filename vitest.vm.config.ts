import { defineConfig } from "vitest/config";

/** The tests on virtual machines: `npm run test:vm`. One machine at a time. */
export default defineConfig({
  test: {
    include: ["test/vm/**/*.test.ts"],
    testTimeout: 60_000,
    hookTimeout: 1_000_000,
    fileParallelism: false,
  },
});
