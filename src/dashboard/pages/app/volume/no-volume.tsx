import { TASK_DEFAULTS, VOLUME_DRIVERS } from '../../../../model/task.ts'
import { ChoiceField, Fields, TextField } from '../../../components/field.tsx'
import { Form } from '../../../components/form.tsx'
import { Section } from '../../../components/section.tsx'
import { toast } from '../../../components/toasts.tsx'
import { useForm } from '../../../components/use-form.ts'
import { shellWords } from '../../../shell-words.ts'
import { changeApp } from '../change-app.ts'
import type { TabProps } from '../tab-props.ts'

const DRIVERS_SAID: Readonly<Record<(typeof VOLUME_DRIVERS)[number], string>> = {
  loop: 'loop: the disk of one node',
  pool: 'pool: storage that several nodes see',
  ebs: 'ebs: a disk of AWS',
  digitalocean: 'digitalocean: a disk of DigitalOcean',
}

/** The tab of an app that has no volume. */
export function NoVolume({ facts, app }: TabProps) {
  const form = useForm({
    'volume.size': '1GiB',
    'volume.path': TASK_DEFAULTS.volumePath as string,
    'volume.driver': 'loop' as string,
  })
  const { 'volume.size': size, 'volume.path': path, 'volume.driver': driver } = form.values
  const add = async (): Promise<void> => {
    const volume = { size: size.trim(), path: path.trim(), driver }
    await changeApp(facts, { call: 'updateApp', body: () => ({ volume }), seen: now => now.task.volume })
    toast(`${app.name} has a volume from its next release on`)
  }
  return (
    <Section
      title="This app has no volume"
      says="What it writes is gone when it sleeps. A volume stays; an app with one has one instance at a time. One that it had before, and that was kept, comes back with its data."
    >
      <Form
        form={form}
        action="Add a volume"
        isReady
        command={shellWords(
          ...['shadow', 'update', app.name, '--volume', `${size.trim()}:${path.trim()}`],
          ...(driver === 'loop' ? [] : ['--volume-driver', driver]),
        )}
        run={add}
      >
        <Fields>
          <TextField name="volume.size" label="Size" hint="It can grow later, not shrink." />
          <TextField name="volume.path" label="Mounted at" />
          <ChoiceField
            name="volume.driver"
            label="Where its bytes are"
            choices={VOLUME_DRIVERS.map(one => [one, DRIVERS_SAID[one]] as const)}
          />
        </Fields>
      </Form>
    </Section>
  )
}
