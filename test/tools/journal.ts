import assert from 'node:assert/strict'

type Line = { readonly boot: string; readonly at: number }

/** The lines of the journal that an app with `JOURNAL=1` writes to its volume: the id of its run, and when it wrote. */
export function journalLines(text: string): readonly Line[] {
  const lines = text.split('\n').filter(Boolean)
  return lines.map(line => ({ boot: line.split(' ')[0] ?? '', at: Number(line.split(' ')[1]) }))
}

/** The runs in the journal, in order. Each must have ended before the next began: there was one writer at a time. */
export function runsIn(lines: readonly Line[]): string[] {
  const runs = [...new Set(lines.map(({ boot }) => boot))]
  assert.deepEqual(
    lines.map(({ boot }) => runs.indexOf(boot)),
    lines.map(({ boot }) => runs.indexOf(boot)).sort((a, b) => a - b),
    'a run wrote after the next one had begun',
  )
  for (const [at, line] of lines.entries()) assert.ok(line.at >= (lines[at - 1]?.at ?? 0))
  return runs
}
