import { join } from 'node:path'
import { readIfThere, writeWhole } from '../lib/files.ts'

/** The URLs of a master that was started on this machine, and of the front beside it; in a cluster with its CA (PEM). */
type Endpoints = { readonly master: string; readonly ca?: string | undefined; readonly front?: string | undefined }
/** `pid`: the process that wrote them; left out by earlier versions. */
type Written = Endpoints & { readonly pid?: number | undefined }

/**
 * Writes the endpoints into the data folder, for the CLI on the same machine. The file stays when the master ends: without it the
 * CLI would try a default address, and would send this folder's token to another program that listens there.
 */
export async function writeEndpoints(data: string, endpoints: Endpoints): Promise<void> {
  await writeWhole(fileIn(data), `${JSON.stringify({ pid: process.pid, ...endpoints })}\n`)
}

/** The endpoints of the last master of this data folder; undefined where none was ever started. */
export async function readEndpoints(data: string): Promise<Written | undefined> {
  const text = await readIfThere(fileIn(data))
  return text === undefined ? undefined : JSON.parse(text)
}

const fileIn = (data: string): string => join(data, 'up.json')
