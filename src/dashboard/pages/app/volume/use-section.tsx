import { useState } from 'preact/hooks'
import type { Volume } from '../../../../model/app.ts'
import type { TaskVolume } from '../../../../model/task.ts'
import { call } from '../../../api.ts'
import { Confirm } from '../../../components/confirm.tsx'
import { Fields, TextField } from '../../../components/field.tsx'
import { Form } from '../../../components/form.tsx'
import { Section } from '../../../components/section.tsx'
import { toast } from '../../../components/toasts.tsx'
import { useForm } from '../../../components/use-form.ts'
import { sayBytes } from '../../../format.ts'
import { shellWords } from '../../../shell-words.ts'
import type { AppFacts } from '../../../use-app.ts'
import { changeApp } from '../change-app.ts'
import { Facts } from './facts.tsx'

type Props = {
  readonly facts: AppFacts
  readonly app: string
  readonly task: TaskVolume
  /** Undefined until it is read. */
  readonly volume: Volume | undefined
  readonly onChange: () => void
}

/** What the volume is, how full it is, and how it grows. */
export function UseSection({ facts, app, task, volume, onChange }: Props) {
  const [isDetaching, setDetaching] = useState(false)
  const form = useForm({ size: task.size })
  const size = form.values.size.trim()
  const grow = async (): Promise<void> => {
    await call('growVolume', { params: { volume: task.id }, body: { size } })
    facts.reload()
    onChange()
    toast(`The volume of ${app} has ${size}`)
  }
  const detach = (): Promise<void> =>
    changeApp(facts, { call: 'updateApp', body: () => ({ volume: null }), seen: now => now.task.volume })
  return (
    <Section
      title="Volume"
      says="Block storage that stays when the app sleeps."
      actions={
        <button type="button" onClick={() => setDetaching(true)}>
          Run without it
        </button>
      }
    >
      {volume?.lost !== undefined && (
        <p class="failure">
          The node {volume.lost.node}, whose disk has this volume, was removed as lost. Nothing can use it until that
          node is back.
        </p>
      )}
      <Bar volume={volume} />
      <Facts
        rows={[
          ['Size', task.size],
          ['Mounted at', <code key="path">{task.path}</code>],
          ['Driver', task.driver ?? 'loop'],
          ['Node', volume === undefined ? '…' : (volume.lease?.node ?? 'none yet')],
          ...(volume?.zone === undefined ? [] : [['Zone', volume.zone] as const]),
          ['On disk', volume?.use === undefined ? 'not known' : sayBytes(volume.use.onDiskBytes)],
        ]}
      />
      <Form form={form} action="Grow" command={shellWords('shadow', 'volume', 'grow', app, size)} run={grow}>
        <Fields>
          <TextField
            name="size"
            label="New size"
            hint="A volume can grow, not shrink. An app that is awake serves on, where its driver can do that."
          />
        </Fields>
      </Form>
      {isDetaching && (
        <Confirm
          title={`Run ${app} without its volume`}
          action="Run without it"
          command={shellWords('shadow', 'update', app, '--no-volume')}
          onClose={() => setDetaching(false)}
          run={detach}
        >
          <p>
            A new release runs without it. The volume and its data are kept, and can be given back to the app on this
            page.
          </p>
        </Confirm>
      )}
    </Section>
  )
}

function Bar({ volume }: { volume: Volume | undefined }) {
  const use = volume?.use
  const share = use === undefined || use.sizeBytes === 0 ? 0 : use.usedBytes / use.sizeBytes
  return (
    <div class="volume-use">
      <meter
        min={0}
        max={1}
        high={0.9}
        optimum={0}
        low={0.75}
        value={share}
        aria-label="How full the volume is"
      >{`${Math.round(share * 100)} %`}</meter>
      <span>
        {use === undefined ? (
          <span class="faint">{volume === undefined ? '…' : 'How full it is will be known once a node has it.'}</span>
        ) : (
          <>
            <strong>{sayBytes(use.usedBytes)}</strong> of {sayBytes(use.sizeBytes)} used, {Math.round(share * 100)} %
          </>
        )}
      </span>
    </div>
  )
}
