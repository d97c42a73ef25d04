import type { VolumeId } from '../../../model/names.ts'
import { call } from '../../api.ts'
import { Failure } from '../../components/failure.tsx'
import { useCall } from '../../use-call.ts'
import type { TabProps } from './tab-props.ts'
import { BackupsSection } from './volume/backups-section.tsx'
import { NoVolume } from './volume/no-volume.tsx'
import { SnapshotsSection } from './volume/snapshots-section.tsx'
import { UseSection } from './volume/use-section.tsx'

/** The tab of the volume: how full it is, snapshots and backups. */
export function VolumeTab({ facts, app }: TabProps) {
  const { name, task } = app
  const volume = useCall(
    signal => call('getVolume', { params: { volume: name as string as VolumeId }, query: { use: 'true' }, signal }),
    [name, task.volume?.size, facts.row?.phase],
    { everyMs: 30_000 },
  )
  const isThere = volume.error?.code !== 'not-found'
  if (task.volume === undefined)
    return isThere && volume.value === undefined && !volume.error ? null : (
      <NoVolume key={volume.value?.id} facts={facts} app={app} kept={isThere ? volume.value : undefined} />
    )
  return (
    <>
      {volume.error && isThere && <Failure error={volume.error} retry={volume.reload} />}
      <UseSection facts={facts} app={name} task={task.volume} volume={volume.value} onChange={volume.reload} />
      <SnapshotsSection app={name} onChange={volume.reload} />
      <BackupsSection app={name} onChange={volume.reload} />
    </>
  )
}
