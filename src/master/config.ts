import { readFileSync } from 'node:fs'
import { ShadowError } from '../lib/errors.ts'
import { LOG_LEVELS } from '../lib/log.ts'
import { sealKeys } from '../lib/seals.ts'
import { listenAddress, oneOf, optionalSetting, setting, text, type Values } from '../lib/settings.ts'
import { hostname } from '../model/hostname.ts'
import { type Prices, priceTable } from '../model/prices.ts'
import { durationMs, orNever, sizeBytes, toMs } from '../model/quantities.ts'
import { acmeSettings } from './acme/config.ts'
import { dashboardSettings } from './dashboard/config.ts'
import { dnsSettings } from './dns/config.ts'
import { storagePlace } from './storage/place.ts'

/** Milliseconds; undefined: never. */
const everyOrNever = (text: string): number | undefined => {
  const every = orNever(text)
  return every === 'never' ? undefined : toMs(every)
}

/** Prices as they stand, or in a file. */
function pricesAt(text: string): Prices {
  if (!text.startsWith('/')) return priceTable(text)
  try {
    return priceTable(readFileSync(text, 'utf8'))
  } catch (cause) {
    throw cause instanceof ShadowError ? cause : new ShadowError('bad-input', `${text} cannot be read`, { cause })
  }
}

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
    help: 'largest blob (a layer of an image, a source, a build context) that may be uploaded',
  }),
  imagesPruned: setting('SHADOW_IMAGES_PRUNED', everyOrNever, {
    default: '1d',
    help: 'how often images, layers and sources that no app needs are removed from the store, or never: then by shadow images prune',
  }),
  undoKept: setting('SHADOW_UNDO_KEPT', everyOrNever, {
    default: '1d',
    help: 'for how long what a restore has replaced is kept, for shadow restore --undo; never: until three later restores of the volume',
  }),
  appsDomain: setting('SHADOW_APPS_DOMAIN', hostname, {
    default: 'localhost',
    help: 'an app that is registered without a domain gets NAME. followed by this',
  }),
  prices: optionalSetting('SHADOW_PRICES', pricesAt, {
    help: 'prices for shadow usage and budgets: currency=EUR,memory-gib-hour=0.004 and so on, or the path of a file with one on each line (docs/usage.md); left out: none',
  }),
  ssh: optionalSetting('SHADOW_SSH', listenAddress('0.0.0.0'), {
    help: 'address at which this master serves SSH, such as 0.0.0.0:2222: ssh APP@HOST -p 2222 opens a shell in the container, for the keys of shadow keys; left out: none',
  }),
  ...acmeSettings,
  ...dnsSettings,
  ...dashboardSettings,
  metricsListen: optionalSetting('SHADOW_METRICS_LISTEN', listenAddress('127.0.0.1'), {
    help: 'address that serves /metrics for Prometheus, such as 127.0.0.1:9464; left out: none; shadow up serves all three daemons on one address',
  }),
  logLevel: setting('SHADOW_LOG_LEVEL', oneOf(...LOG_LEVELS), {
    default: 'info',
    help: 'lowest level that is logged: debug, info, warn, error or silent',
  }),
}

export type MasterConfig = Values<typeof masterSettings>
