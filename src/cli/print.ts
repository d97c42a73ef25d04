import { paint, type Terminal } from './terminal.ts'

/** Prints the document as JSON, or as the text that `asText` returns. */
export function print<T>(
  terminal: Terminal,
  json: boolean | undefined,
  document: T,
  asText: (document: T) => string,
): void {
  terminal.out(json === true ? `${JSON.stringify(document)}\n` : asText(document))
}

/** Rows under a header, in columns as wide as they need to be. */
export function table(terminal: Terminal, header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map(row => (row[column] ?? '').length)))
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
      .join('  ')
      .trimEnd()
  return `${[paint(terminal, 'dim', line(header)), ...rows.map(line)].join('\n')}\n`
}

/** Prints names and values in two columns. Names without a value are left out. */
export function facts(terminal: Terminal, pairs: readonly (readonly [string, string | undefined])[]): string {
  const present = pairs.filter(([, value]) => value !== undefined)
  const width = Math.max(...present.map(([name]) => name.length))
  return present
    .map(([name, value = '']) => {
      const indented = value.replaceAll('\n', `\n${' '.repeat(width + 2)}`)
      return `${paint(terminal, 'dim', name.padEnd(width))}  ${indented}\n`
    })
    .join('')
}
