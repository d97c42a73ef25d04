import { call } from '../../../api.ts'
import { useCall } from '../../../use-call.ts'

/** The ids of the instances of an app that may have several. */
export function useInstances(app: string): readonly string[] {
  const { value } = useCall(signal => call('listInstances', { signal }), [app])
  return (value?.items ?? []).filter(item => item.app === app).map(({ instance }) => instance)
}
