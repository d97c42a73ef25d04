import { isFailure, type ShadowError } from '../../lib/errors.ts'
import type { VolumeId } from '../../model/names.ts'
import type { BlockDriver, Device, Format } from './block-driver.ts'

type Wanted = {
  readonly volume: VolumeId
  readonly sizeBytes: number
  readonly format: Format
  readonly epoch?: number
  /** Told why the volume has not become as large as was asked for, and is attached as it is. Left out: that is a failure. */
  readonly onTooSmall?: (problem: ShadowError) => void
}

/**
 * Attaches a volume: made and formatted on its first use, its device grown where it is smaller than `sizeBytes`.
 * Fails as `create`, `grow` and `attach` of the driver do.
 */
export async function attachVolume(
  driver: BlockDriver,
  { volume, sizeBytes, format, epoch, onTooSmall }: Wanted,
  signal: AbortSignal,
): Promise<Device> {
  await driver.create(volume, sizeBytes, format, signal, { epoch })
  await driver.grow(volume, sizeBytes, signal).catch(problem => {
    // A volume never shrinks, so the person who asked for too much could not take it back: its app must not be the price.
    if (onTooSmall === undefined || !isFailure(problem, 'disk-full', 'cloud-failed')) throw problem
    onTooSmall(problem)
  })
  return driver.attach(volume, signal)
}
