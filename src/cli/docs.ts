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

/** All settings, by the process that reads them. `shadow up` reads those of all three daemons. */
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

/** The text of the default column for a setting without a default. */
export const sayNone = ({ needed }: SettingRow): string => (needed ? 'must be set' : '-')

/** Every failure: its code, HTTP status, exit code and meaning. */
export const errorsTable = () => Object.entries(failures).map(([code, failure]) => ({ code, ...failure }))
