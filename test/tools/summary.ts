import type { Reporter, SerializedError, TestModule } from 'vitest/node'

export type Counts = { passed: number; failed: number; skipped: number }

/** The one line that says how a test run ended; skipped tests are named only where there are some. */
export function summaryLine({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
}

/** What a run came to. A file that could not be loaded and an error outside every test count as one failure each. */
export function count(modules: readonly TestModule[], errors: readonly SerializedError[]): Counts {
  const counts = { passed: 0, failed: errors.length, skipped: 0 }
  for (const module of modules) {
    let failedHere = 0
    for (const test of module.children.allTests()) {
      const { state } = test.result()
      if (state === 'passed') counts.passed++
      else if (state === 'failed') failedHere++
      else if (state === 'skipped') counts.skipped++
      else failedHere++ // pending: the test was interrupted
    }
    const elsewhere = failedHere === 0 && module.state() === 'failed' ? 1 : 0
    counts.failed += failedHere + elsewhere
  }
  return counts
}

/** A line for each test that did not end well and for each file that could not be loaded. */
export function failureLines(modules: readonly TestModule[]): string[] {
  return modules.flatMap(module => {
    const failed = [...module.children.allTests()].filter(test => ['failed', 'pending'].includes(test.result().state))
    if (failed.length === 0) return module.state() === 'failed' ? [`FAILED ${module.relativeModuleId}`] : []
    return failed.map(test => {
      const [error] = test.result().errors ?? []
      return `FAILED ${module.relativeModuleId}: ${test.fullName}: ${error === undefined ? 'it did not end' : said(error)}`
    })
  })
}

const MOST_SAID = 300

/** What an error says, in one line, and where it was thrown. */
function said({ message, stack = '' }: SerializedError): string {
  const words = message.split(/\s+/).join(' ')
  const at = stack.split('\n').find(line => /^\s*at .*\d+:\d+/.test(line) && !line.includes('node_modules'))
  return `${words.slice(0, MOST_SAID)}${at === undefined ? '' : ` (${at.trim()})`}`
}

/** Vitest knows which file ran in the process where the error was thrown; the error may be of an earlier one. */
const outside = (error: SerializedError): string => {
  const { VITEST_TEST_PATH: file } = error
  return `FAILED outside of every test: ${said(error)}${typeof file === 'string' ? `, while ${file} ran` : ''}`
}

/** Ends a run's output with what failed, so that the end of a log tells it, and with the summary line alone after it. */
export default class Summary implements Reporter {
  // A run that ends before its tests, such as by a failure of global setup, has no other count.
  #counts: Counts = { passed: 0, failed: 0, skipped: 0 }

  onInit(): void {
    // Global teardown runs after the last reporter was called, and can fail: so the line waits for the exit code.
    process.once('exit', code => {
      const { failed } = this.#counts
      const counts = failed === 0 && code !== 0 ? { ...this.#counts, failed: 1 } : this.#counts
      process.stdout.write(`\n${summaryLine(counts)}\n`)
    })
  }

  onTestRunEnd(modules: readonly TestModule[], errors: readonly SerializedError[]): void {
    this.#counts = count(modules, errors)
    const lines = [...failureLines(modules), ...errors.map(outside)]
    if (lines.length > 0) process.stdout.write(`\n${lines.join('\n')}\n`)
  }
}
