import { ShadowError } from '../lib/errors.ts'

/** The name of an app: also its default hostname's first label, so it is a DNS label (RFC 1123, 2.1). */
export type AppName = string & { readonly brand: 'AppName' }
export type NodeName = string & { readonly brand: 'NodeName' }
export type VolumeId = string & { readonly brand: 'VolumeId' }
/** The name of a snapshot, among those of its volume. */
export type SnapshotId = string & { readonly brand: 'SnapshotId' }

const LONGEST_LABEL = 63

/** Parses an app's name; fails with `bad-input` that shows where it is wrong. */
export const appName = (text: string): AppName => label('app name', text) as AppName
export const nodeName = (text: string): NodeName => label('node name', text) as NodeName
export const volumeId = (text: string): VolumeId => label('volume name', text) as VolumeId
export const snapshotId = (text: string): SnapshotId => label('snapshot name', text) as SnapshotId

/** Whether the text can be an app's name. */
export const isAppName = (text: string): text is AppName => faultOfLabel(text) === undefined

/** Whether the text can be a snapshot's name. */
export const isSnapshotId = (text: string): text is SnapshotId => faultOfLabel(text) === undefined

/** Whether the text can be a node's name. */
export const isNodeName = (text: string): text is NodeName => faultOfLabel(text) === undefined

function label(what: string, text: string): string {
  const fault = faultOfLabel(text)
  if (fault !== undefined) throw new ShadowError('bad-input', `${what} "${text.slice(0, 100)}": ${fault}`)
  return text
}

/** What keeps the text from being a DNS label of at most so many characters; undefined if nothing does. */
export function faultOfLabel(text: string, longest = LONGEST_LABEL): string | undefined {
  if (text === '') return 'it is empty'
  if (text.length > longest) return `it has ${text.length} characters; ${longest} at most`
  const bad = /[^a-z0-9-]/.exec(text)
  if (bad) return `"${bad[0]}" at position ${bad.index}; use a-z, 0-9 and -`
  if (text.startsWith('-') || text.endsWith('-')) return 'it begins or ends with "-"'
  return undefined
}
