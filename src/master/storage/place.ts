import { resolve } from 'node:path'
import { ShadowError } from '../../lib/errors.ts'
import type { Bucket } from './s3-client.ts'

/** Where documents are stored: a directory on this machine, or a bucket. */
export type StoragePlace = { readonly kind: 'directory'; readonly path: string } | ({ readonly kind: 's3' } & Bucket)

/**
 * Parses the setting: `directory:PATH`, or `https://KEY:SECRET@HOST/BUCKET?region=REGION` for a bucket. Error messages never contain the
 * secret.
 */
export function storagePlace(text: string): StoragePlace {
  if (text.startsWith('directory:')) {
    const path = text.slice('directory:'.length)
    if (path === '') throw new ShadowError('bad-input', 'directory: needs a path')
    return { kind: 'directory', path: resolve(path) }
  }
  const url = URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol)) throw new ShadowError('bad-input', `write it as ${FORM}`)
  const bucket = url.pathname.slice(1)
  // This text may be the rest of a secret that was not URL-encoded, so the message does not repeat it.
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket) || url.hash !== '')
    throw new ShadowError('bad-input', `what follows the host is not the name of a bucket; write it as ${FORM}`)
  if ((url.username === '') !== (url.password === ''))
    throw new ShadowError('bad-input', 'give the key and the secret both, or neither')
  return {
    kind: 's3',
    endpoint: url.origin,
    bucket,
    region:
      url.searchParams.get('region') ?? /^s3\.([a-z0-9-]+)\.amazonaws\.com$/.exec(url.hostname)?.[1] ?? 'us-east-1',
    credentials:
      url.username === '' ? undefined : { accessKeyId: decoded(url.username), secretAccessKey: decoded(url.password) },
  }
}

const FORM =
  'directory:PATH or https://KEY:SECRET@HOST/BUCKET, with / # ? @ and % of the secret as %2F %23 %3F %40 and %25'

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new ShadowError('bad-input', `the key or the secret has a % that is not %25; write it as ${FORM}`)
  }
}
