import { LOG_LEVELS } from '../lib/log.ts'
import { sealKeys } from '../lib/seals.ts'
import { listenAddress, oneOf, optionalSetting, setting, text, type Values } from '../lib/settings.ts'
import { hostname } from '../model/hostname.ts'
import { storagePlace } from './storage/place.ts'

/** The settings of the master. */
export const masterSettings = {
  listen: setting('SHADOW_MASTER_LISTEN', listenAddress('127.0.0.1'), {
    default: '127.0.0.1:8080',
    help: 'where the master listens; 0.0.0.0:8080 for nodes and fronts on other machines',
  }),
  data: setting('SHADOW_DATA', text, {
    default: '/var/lib/shadow',
    help: 'folder for what this machine keeps; the admin token is in tokens/admin below it',
  }),
  storage: optionalSetting('SHADOW_STORAGE', storagePlace, {
    help: 'where apps are kept: directory:PATH, or https://KEY:SECRET@HOST/BUCKET for S3 and its like (?region=REGION); left out: store below the data folder',
  }),
  secretsKey: optionalSetting('SHADOW_SECRETS_KEY', sealKeys, {
    help: 'key that environments are encrypted with in the store, the same for all masters: 32 bytes in base64 (openssl rand -base64 32); to change it put the new one before the old one, with a comma; left out: secrets-key in the data folder, made at the first start',
  }),
  appsDomain: setting('SHADOW_APPS_DOMAIN', hostname, {
    default: 'localhost',
    help: 'an app registered without a domain gets NAME. before this',
  }),
  logLevel: setting('SHADOW_LOG_LEVEL', oneOf(...LOG_LEVELS), { default: 'info', help: 'least level that is logged' }),
}

export type MasterConfig = Values<typeof masterSettings>
