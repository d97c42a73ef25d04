import { call } from '../api.ts'
import { CommandLine } from '../components/command-line.tsx'
import { CopiedText } from '../components/copied-text.tsx'
import { Fields } from '../components/field.tsx'
import { Form } from '../components/form.tsx'
import { Heading } from '../components/heading.tsx'
import { Section } from '../components/section.tsx'
import { toast } from '../components/toasts.tsx'
import { useForm } from '../components/use-form.ts'
import type { PageProps } from '../page-props.ts'
import { go } from '../router.ts'
import { commandOf, manifestOf } from './new/commands.ts'
import { definitionOf, EMPTY, type Values } from './new/definition.ts'
import { GROUPS } from './new/fields.ts'
import { FieldGroup, NewField } from './new/group.tsx'

/** Makes an app of an image; the ways that need a folder show their commands. */
export function NewPage(_: PageProps) {
  const form = useForm<Values>(EMPTY)
  const { values } = form
  const create = async (): Promise<void> => {
    const { name } = await call('registerApp', { body: definitionOf(values), query: { env: 'digests' } })
    toast(`${name} is made. It sleeps; its first request wakes it.`)
    go(`/apps/${name}`)
  }
  return (
    <>
      <Heading title="New app" />
      <div class="new-app">
        <Section title="From an image" says="The app sleeps once it is made, and wakes at its first request.">
          <Form
            form={form}
            action="Create the app"
            command={commandOf(values)}
            run={create}
            isReady={values.name.trim() !== '' && values.image.trim() !== ''}
          >
            <Fields>
              <NewField name="name" form={form} />
              <NewField name="image" form={form} />
            </Fields>
            {GROUPS.map(group => (
              <FieldGroup key={group.title} group={group} form={form} />
            ))}
          </Form>
        </Section>
        <div class="stack">
          <Section title="The same as a file" says="shadow deploy makes the app of this file, and changes it later.">
            <CopiedText label="shadow.toml" text={manifestOf(values)} />
          </Section>
          <Section title="From a folder" says="Code is sent from where it is, by the command line:">
            <p>A folder with source in a language that Shadow knows, or with a Dockerfile:</p>
            <CommandLine command="shadow init && shadow deploy" />
            <p>A Dockerfile to keep and change, written by what is found in the folder:</p>
            <CommandLine command="shadow init --dockerfile && shadow deploy" />
          </Section>
        </div>
      </div>
    </>
  )
}
