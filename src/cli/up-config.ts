import { resolve } from 'node:path'
import { type Fault, isFailure, ShadowError } from '../lib/errors.ts'
import { readSettings, type SettingsTable, type Values } from '../lib/settings.ts'
import { masterSettings } from '../master/config.ts'
import { nodeproxySettings } from '../nodeproxy/config.ts'
import { proxySettings } from '../proxy/config.ts'
import { usualData } from './config.ts'

type Environment = Readonly<Record<string, string | undefined>>
export type UpFlags = { readonly data?: string; readonly listen?: string }
export type UpConfig = ReturnType<typeof readUpConfig>

// The URL of the master and the tokens of node and front are known only after the master has started.
const { master: _nodesMaster, token: _nodesToken, ...nodeSettings } = nodeproxySettings
const { master: _frontsMaster, token: _frontsToken, ...frontSettings } = proxySettings

/** The settings of all three daemons on one data folder. Fails with `bad-input` that names every wrong setting. */
export function readUpConfig(env: Environment, flags: UpFlags) {
  const faults = new Map<string, Fault>()
  const read = <Table extends SettingsTable>(table: Table, given: Readonly<Record<string, string | undefined>>) => {
    try {
      return readSettings(table, env, given)
    } catch (error) {
      if (!isFailure(error, 'bad-input')) throw error
      for (const fault of error.details.faults ?? []) faults.set(fault.field, fault)
      return {} as Values<Table> // never used: the faults are thrown below
    }
  }
  const data = resolve(flags.data ?? (env['SHADOW_DATA'] || usualData(env)))
  const config = {
    data,
    master: read(masterSettings, { data }),
    nodeproxy: read(nodeSettings, { data }),
    proxy: read(frontSettings, { data, listen: flags.listen }),
  }
  if (faults.size > 0) {
    const lines = [...faults.values()].map(({ field, message }) => `  ${field}: ${message}`).join('\n')
    throw new ShadowError('bad-input', `settings are wrong:\n${lines}`, {
      faults: [...faults.values()],
      hint: 'shadow help settings',
    })
  }
  return config
}
