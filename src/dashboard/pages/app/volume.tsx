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
export const VolumeTab = (props: TabProps) =>
  props.app.task.volume === undefined ? (
    <NoVolume {...props} />
  ) : (
    <WithVolume {...props} id={props.app.task.volume.id} />
  )

function WithVolume({ facts, app: { name, task }, id }: TabProps & { id: VolumeId }) {
  const volume = useCall(
    signal => call('getVolume', { params: { volume: id }, query: { use: 'true' }, signal }),
    [id, task.volume?.size, facts.row?.phase],
    { everyMs: 30_000 },
  )
  return (
    <>
      {volume.error && <Failure error={volume.error} retry={volume.reload} />}
      {task.volume && (
        <UseSection facts={facts} app={name} task={task.volume} volume={volume.value} onChange={volume.reload} />
      )}
      <SnapshotsSection app={name} onChange={volume.reload} />
      <BackupsSection app={name} onChange={volume.reload} />
    </>
  )
}
