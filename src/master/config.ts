import { LOG_LEVELS } from '../lib/log.ts'
import { sealKeys } from '../lib/seals.ts'
import { listenAddress, oneOf, optionalSetting, setting, text, type Values } from '../lib/settings.ts'
import { hostname } from '../model/hostname.ts'
import { durationMs, sizeBytes } from '../model/quantities.ts'
import { storagePlace } from './storage/place.ts'

/** The settings of the master. */
export const masterSettings = {
  listen: optionalSetting('SHADOW_MASTER_LISTEN', listenAddress('127.0.0.1'), {
    help: 'address that the master listens on; left out: 127.0.0.1:8080, or 0.0.0.0:8080 in a cluster, where it speaks TLS',
  }),
  data: setting('SHADOW_DATA', text, {
    default: '/var/lib/shadow',
    help: 'data folder of this machine; tokens/admin in it is the admin token',
  }),
  storage: optionalSetting('SHADOW_STORAGE', storagePlace, {
    help: 'the store: directory:PATH, or https://KEY:SECRET@HOST/BUCKET for S3 and compatible servers (?region=REGION); left out: the folder store in SHADOW_DATA',
  }),
  secretsKey: optionalSetting('SHADOW_SECRETS_KEY', sealKeys, {
    help: 'key that encrypts environments in the store, the same for all masters: 32 bytes in base64 (openssl rand -base64 32); to change it, put the new key before the old one, with a comma; left out: the file secrets-key in SHADOW_DATA, made at the first start',
  }),
  certificateLasts: setting('SHADOW_CERTIFICATE_LASTS', durationMs, {
    default: '7d',
    help: 'how long a certificate of a machine in the cluster lasts; it is renewed at about two thirds of that',
  }),
  blobLimit: setting('SHADOW_BLOB_LIMIT', sizeBytes, {
    default: '2GiB',
    help: 'largest blob (a source, a build context) that may be uploaded',
  }),
  appsDomain: setting('SHADOW_APPS_DOMAIN', hostname, {
    default: 'localhost',
    help: 'an app that is registered without a domain gets NAME. followed by this',
  }),
  logLevel: setting('SHADOW_LOG_LEVEL', oneOf(...LOG_LEVELS), {
    default: 'info',
    help: 'lowest level that is logged: debug, info, warn, error or silent',
  }),
}

export type MasterConfig = Values<typeof masterSettings>
