import { homedir, userInfo } from 'node:os'
import { join } from 'node:path'
import { optionalSetting, type SettingsTable, text, url } from '../lib/settings.ts'

type Environment = Readonly<Record<string, string | undefined>>

const SYSTEM_DATA = '/var/lib/shadow'

/** What the CLI reads from the environment when it calls a master. */
export const cliSettings = {
  url: optionalSetting('SHADOW_URL', url, {
    help: 'URL of the master that the CLI calls; SHADOW_TOKEN must be set too',
  }),
  token: optionalSetting('SHADOW_TOKEN', text, { help: 'token for that master' }),
  ca: optionalSetting('SHADOW_CA', text, {
    help: 'file with the CA of that master (shadow cluster ca), if it is the master of a cluster',
  }),
  joinToken: optionalSetting('SHADOW_JOIN_TOKEN', text, {
    help: 'token of shadow node join and shadow proxy join; --token takes precedence',
  }),
  passphrase: optionalSetting('SHADOW_PASSPHRASE', text, {
    help: 'passphrase of shadow export and shadow import; --passphrase-file takes precedence',
  }),
  context: optionalSetting('SHADOW_CONTEXT', text, { help: 'context that the CLI uses; --context takes precedence' }),
  data: optionalSetting('SHADOW_DATA', text, {
    help: `data folder of shadow up on this machine; left out: ${SYSTEM_DATA} for root, a folder in the home folder for others`,
  }),
} satisfies SettingsTable

/** The default data folder of Shadow on this machine. */
export function usualData(env: Environment): string {
  if (userInfo().uid === 0) return SYSTEM_DATA
  return join(env['XDG_DATA_HOME'] || join(homedir(), '.local/share'), 'shadow')
}

/** The data folders in which the CLI looks for the URL and the token of a master on this machine. */
export function dataFolders(env: Environment): readonly string[] {
  return env['SHADOW_DATA'] ? [env['SHADOW_DATA']] : [...new Set([usualData(env), SYSTEM_DATA])]
}

/** The file that holds the contexts of this user. */
export function contextsFile(env: Environment): string {
  return join(env['XDG_CONFIG_HOME'] || join(homedir(), '.config'), 'shadow/contexts.json')
}

/** Whether SIGHUP is ignored (nohup). bin/shadow sets the variable, because Node resets the signal's disposition before our code runs. */
export const ignoresHangup = (env: Environment): boolean => env['SHADOW_HANGUP'] === 'ignored'
