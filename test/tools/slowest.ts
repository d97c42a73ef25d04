import type { Reporter, TestModule } from 'vitest/node'

const SHOWN = 20

type Timed = { readonly name: string; readonly ms: number }

/** The slowest tests, slowest first. Each line has the seconds, the file and the name. */
export function slowestLines(tests: readonly Timed[]): string[] {
  return tests
    .toSorted((a, b) => b.ms - a.ms)
    .slice(0, SHOWN)
    .map(({ name, ms }) => `${(ms / 1_000).toFixed(1).padStart(6)} s  ${name}`)
}

/** Every test of these files with its time in ms, without hooks. */
export function timed(modules: readonly TestModule[]): Timed[] {
  return modules.flatMap(module =>
    [...module.children.allTests()].map(test => ({
      name: `${module.relativeModuleId}: ${test.fullName}`,
      ms: test.diagnostic()?.duration ?? 0,
    })),
  )
}

/** Prints the slowest twenty tests at the end of a run, so that it shows which tests make the suite slow. */
export default class Slowest implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const lines = slowestLines(timed(modules))
    if (lines.length > 1) process.stdout.write(`\nThe slowest ${lines.length} tests:\n${lines.join('\n')}\n`)
  }
}
