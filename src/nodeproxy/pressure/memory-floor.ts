import { ShadowError } from '../../lib/errors.ts'
import { sizeBytes } from '../../model/quantities.ts'

/** How much of the memory of a machine is kept free: so many bytes, or this share of it. */
export type MemoryFloor = { readonly bytes: number } | { readonly share: number }

/** Parser for settings: a size, a percentage, or 0 for none. */
export function memoryFloor(value: string): MemoryFloor {
  if (value === '0') return { bytes: 0 }
  const [, percent] = /^(\d+(?:\.\d+)?) ?%$/.exec(value) ?? []
  if (percent === undefined) return { bytes: sizeBytes(value) }
  if (Number(percent) > 100) throw new ShadowError('bad-input', `"${value}" is more than 100 %`)
  return { share: Number(percent) / 100 }
}

export const floorBytesOf = (floor: MemoryFloor, totalBytes: number): number =>
  'bytes' in floor ? floor.bytes : Math.round(floor.share * totalBytes)
