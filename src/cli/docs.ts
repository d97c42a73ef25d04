import { failures } from '../lib/errors.ts'
import type { SettingsTable } from '../lib/settings.ts'
import { cliSettings } from './config.ts'

type SettingRow = {
  readonly env: string
  readonly default: string | null
  readonly needed: boolean
  readonly help: string
}
type SettingsOf = { readonly of: string; readonly rows: readonly SettingRow[] }

/** Every setting there is, by who reads it; `shadow up` reads those of all three daemons. */
export async function settingsTables(): Promise<readonly SettingsOf[]> {
  const [{ masterSettings }, { nodeproxySettings }, { proxySettings }] = await Promise.all([
    import('../master/config.ts'),
    import('../nodeproxy/config.ts'),
    import('../proxy/config.ts'),
  ])
  return [
    { of: 'shadow master', rows: rowsOf(masterSettings) },
    { of: 'shadow nodeproxy', rows: rowsOf(nodeproxySettings) },
    { of: 'shadow proxy', rows: rowsOf(proxySettings) },
    { of: 'the CLI', rows: rowsOf(cliSettings) },
  ]
}

const rowsOf = (table: SettingsTable): readonly SettingRow[] =>
  Object.values(table).map(({ env, fallback, optional, help }) => ({
    env,
    default: fallback ?? null,
    needed: fallback === undefined && !optional,
    help,
  }))

/** What stands in place of a default. */
export const sayNone = ({ needed }: SettingRow): string => (needed ? 'must be set' : '-')

/** Every failure: its code, HTTP status, exit code and meaning. */
export const errorsTable = () => Object.entries(failures).map(([code, failure]) => ({ code, ...failure }))

/** The README with the tables between its markers made anew; the same text where they are up to date. */
export async function withTables(readme: string): Promise<string> {
  const settings = (await settingsTables())
    .map(({ of, rows }) => {
      const told = rows.map(row => [
        `\`${row.env}\``,
        row.default === null ? sayNone(row) : `\`${row.default}\``,
        row.help,
      ])
      return `**${of}**\n\n${markdown(['setting', 'default', 'what it says'], told)}`
    })
    .join('\n')
  const errors = markdown(
    ['code', 'HTTP', 'exit', 'what it means'],
    errorsTable().map(({ code, status, exit, means }) => [`\`${code}\``, String(status), String(exit), means]),
  )
  return between(between(readme, 'settings', settings), 'errors', errors)
}

function markdown(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |\n`
  return [header, header.map(() => '---'), ...rows].map(line).join('')
}

function between(readme: string, name: string, text: string): string {
  const begin = `<!-- ${name}: made by npm run docs -->\n`
  const end = `<!-- end of ${name} -->`
  const [before, rest] = readme.split(begin)
  const after = rest?.slice(rest.indexOf(end))
  if (before === undefined || after === undefined) throw new Error(`README.md has no "${begin.trim()}"`)
  return `${before}${begin}\n${text}\n${after}`
}
