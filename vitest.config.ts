import { configDefaults, defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // those on virtual machines: vitest.vm.config.ts
    exclude: [...configDefaults.exclude, "test/vm/**"],
    // Vitest keeps one processor free, which is half of a small machine.
    maxWorkers: "100%",
    testTimeout: 60_000,
    hookTimeout: 120_000,
    coverage: {
      provider: "v8",
      include: ["src/**/*.ts"],
      reporter: ["text-summary", "json-summary"],
      thresholds: {
        "src/core/**/*.ts": { lines: 100, branches: 100 },
        "src/**/*.ts": { lines: 85, branches: 85 },
      },
    },
  },
});
