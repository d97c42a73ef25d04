import { expectTypeOf, test } from 'vitest'
import type { z } from 'zod'
import type { ConnectSchema } from '../api/connect-schema.ts'
import type { ConnectedSchema, SessionViewSchema } from '../api/session-schemas.ts'
import type { Connected, ConnectRequest, SessionView } from './types.ts'

// The types are written by hand, so that the package needs neither zod nor the rest of Shadow. The compiler compares them here.
test('the types of the package are those of the calls', () => {
  expectTypeOf<keyof ConnectRequest>().toEqualTypeOf<keyof z.input<typeof ConnectSchema>>()
  type Spawn = NonNullable<ConnectRequest['spawn']>
  type SpawnOfCall = NonNullable<z.input<typeof ConnectSchema>['spawn']>
  expectTypeOf<keyof Spawn>().toEqualTypeOf<keyof SpawnOfCall>()
  expectTypeOf<keyof NonNullable<Spawn['limits']>>().toEqualTypeOf<keyof NonNullable<SpawnOfCall['limits']>>()
  expectTypeOf<keyof NonNullable<ConnectRequest['visitor']>>().toEqualTypeOf<
    keyof NonNullable<z.input<typeof ConnectSchema>['visitor']>
  >()
  expectTypeOf<z.input<typeof ConnectSchema>>().toExtend<ConnectRequest>()
  expectTypeOf<z.output<typeof SessionViewSchema>>().toExtend<SessionView>()
  expectTypeOf<keyof SessionView>().toEqualTypeOf<keyof z.output<typeof SessionViewSchema>>()
  expectTypeOf<z.output<typeof ConnectedSchema>>().toExtend<Connected>()
  expectTypeOf<keyof Connected>().toEqualTypeOf<keyof z.output<typeof ConnectedSchema>>()
})
