import { call } from '../api.ts'
import { Heading } from '../components/heading.tsx'
import type { PageProps } from '../page-props.ts'
import { useCall } from '../use-call.ts'
import { KeysSection } from './access/keys.tsx'
import { MembersSection } from './access/members.tsx'
import { OwnersSection } from './access/owners.tsx'
import { TokensSection } from './access/tokens.tsx'

/** Who may do what: tokens, owners, keys of people who come by SSH, and machines of the cluster. */
export function AccessPage(_: PageProps) {
  const tokens = useCall(signal => call('listTokens', { signal }), [])
  return (
    <>
      <Heading title="Access" />
      <TokensSection loaded={tokens} />
      <OwnersSection tokens={tokens.value?.items} />
      <KeysSection />
      <MembersSection />
    </>
  )
}
