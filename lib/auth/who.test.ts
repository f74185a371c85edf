// Who asks: the admin's token and nothing like it.
import { expect, test } from 'vitest'
import { isAdmin, requireAdmin } from './who.ts'

const admin = 'a'.repeat(43)

test('the admin is who has the admin’s token, and nobody is where no token is set', () => {
  expect(isAdmin(admin, admin)).toBe(true)
  for (const wrong of ['', 'a', `${admin}a`, admin.slice(1), 'b'.repeat(43), undefined]) expect(isAdmin(admin, wrong)).toBe(false)
  for (const token of ['', admin, 'undefined', undefined]) expect(isAdmin(undefined, token)).toBe(false)
  expect(() => requireAdmin(undefined, admin)).toThrow(expect.objectContaining({ code: 'unauthorized' }))
  expect(requireAdmin(admin, admin)).toEqual({ kind: 'admin' })
})
