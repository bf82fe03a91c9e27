// node count-tests.mjs REPORT: prints how many tests of vitest's JSON report passed, failed and were skipped.
// A test file that could not be loaded has no tests; it counts as one that failed.
import { readFileSync } from "node:fs";

const report = JSON.parse(readFileSync(process.argv[2], "utf8"));
const broken = report.testResults.filter(
  ({ status, assertionResults }) => status === "failed" && assertionResults.length === 0,
);
const counts = [
  report.numPassedTests,
  report.numFailedTests + broken.length,
  report.numPendingTests + report.numTodoTests,
];
process.stdout.write(`${counts.join(" ")}\n`);
