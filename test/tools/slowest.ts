import type { Reporter, TestModule } from 'vitest/node'

const SHOWN = 20

type Timed = { readonly name: string; readonly ms: number }

/** The tests that took longest, the slowest first, each as a line with its seconds, its file and its name. */
export function slowestLines(tests: readonly Timed[]): string[] {
  return tests
    .toSorted((a, b) => b.ms - a.ms)
    .slice(0, SHOWN)
    .map(({ name, ms }) => `${(ms / 1_000).toFixed(1).padStart(6)} s  ${name}`)
}

/** Every test of these files with how long it took, in ms, its hooks not counted. */
export function timed(modules: readonly TestModule[]): Timed[] {
  return modules.flatMap(module =>
    [...module.children.allTests()].map(test => ({
      name: `${module.relativeModuleId}: ${test.fullName}`,
      ms: test.diagnostic()?.duration ?? 0,
    })),
  )
}

/** Prints the slowest twenty tests at the end of a run, so that a suite that becomes slow shows where. */
export default class Slowest implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const lines = slowestLines(timed(modules))
    if (lines.length > 1) process.stdout.write(`\nThe slowest ${lines.length} tests:\n${lines.join('\n')}\n`)
  }
}
