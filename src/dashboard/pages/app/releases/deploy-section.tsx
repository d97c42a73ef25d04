import { CommandLine } from '../../../components/command-line.tsx'
import { Fields, TextField } from '../../../components/field.tsx'
import { Form } from '../../../components/form.tsx'
import { Section } from '../../../components/section.tsx'
import { toast } from '../../../components/toasts.tsx'
import { useForm } from '../../../components/use-form.ts'
import { shellWords } from '../../../shell-words.ts'
import { changeApp } from '../change-app.ts'
import type { TabProps } from '../tab-props.ts'

/** Makes a release that runs another image. */
export function DeploySection({ facts, app }: TabProps) {
  const { name, task } = app
  const form = useForm({ image: task.image, note: '' })
  const { image, note } = form.values
  const deploy = async (): Promise<void> => {
    await changeApp(facts, {
      call: 'updateApp',
      body: () => ({ image: image.trim() }),
      query: { by: 'deploy', note: note.trim() },
      seen: now => now.task.image,
    })
    toast(`${name} has a new release`)
  }
  return (
    <Section
      title="Deploy"
      says="Makes a release with another image. The same name again takes what the registry has by that name now."
    >
      <Form
        form={form}
        action="Deploy"
        isReady={image.trim() !== ''}
        command={shellWords(
          ...['shadow', 'update', name, '--image', image.trim()],
          ...(note.trim() === '' ? [] : ['--note', note.trim()]),
        )}
        run={deploy}
      >
        <Fields>
          <TextField name="image" label="Image" placeholder="ghcr.io/anna/blog:2" isLong />
          <TextField name="note" label="Note" hint="Why; the list below shows it." isLong />
        </Fields>
      </Form>
      <details>
        <summary>Deploy a folder or a Dockerfile</summary>
        <div class="stack">
          <p class="faint">
            In a folder with a manifest (shadow.json), this sends its source, or builds its Dockerfile, and waits until
            the release serves:
          </p>
          <CommandLine command="shadow deploy" />
          <p class="faint">Without a manifest yet:</p>
          <CommandLine command={`shadow init --app ${name} && shadow deploy`} />
        </div>
      </details>
    </Section>
  )
}
