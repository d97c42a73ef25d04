import type { VolumeId } from '../../model/names.ts'
import type { BlockDriver, Device, Format } from './block-driver.ts'

/**
 * Attaches a volume of at least `sizeBytes`: made and formatted on its first use, its device grown where it is smaller.
 * Fails as `create`, `grow` and `attach` of the driver do.
 */
export async function attachVolume(
  driver: BlockDriver,
  { volume, sizeBytes, format, epoch }: { volume: VolumeId; sizeBytes: number; format: Format; epoch?: number },
  signal: AbortSignal,
): Promise<Device> {
  await driver.create(volume, sizeBytes, format, signal, epoch)
  await driver.grow(volume, sizeBytes, signal)
  return driver.attach(volume, signal)
}
