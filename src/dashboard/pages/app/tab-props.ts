import type { App } from '../../../model/app.ts'
import type { AppFacts } from '../../use-app.ts'

/** What every tab of an app's page is given. `facts.reload` reads the app again; `facts.row` changes by itself. */
export type TabProps = { readonly facts: AppFacts; readonly app: App }
