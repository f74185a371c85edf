// Tests of the advanced choices: what is typed becomes the request, or says what is wrong with it.
import { expect, test } from 'vitest'
import { noAdvanced, readAdvanced, splitWords } from './advanced-fields.tsx'

test('a command line is split as a shell splits it, and nothing in it is expanded', () => {
  expect(splitWords(`python3 -c 'print("a b")' "x\\"y" a\\ b $HOME *`)).toEqual([
    'python3',
    '-c',
    'print("a b")',
    'x"y',
    'a b',
    '$HOME',
    '*',
  ])
  expect(splitWords(`''`)).toEqual([''])
  expect(splitWords('  ')).toEqual([])
  expect(splitWords('echo "open')).toBeNull()
})

test('empty fields leave the request untouched', () => {
  expect(readAdvanced(noAdvanced)).toEqual({ request: {}, errors: {} })
})

test('an environment value may hold equals signs, and a line without a name is refused', () => {
  expect(readAdvanced({ ...noAdvanced, env: 'A=1=2\n\nB=' }).request.env).toEqual({ A: '1=2', B: '' })
  expect(readAdvanced({ ...noAdvanced, env: 'just words' }).errors.env).toContain('NAME=value')
})

test('what the protocol refuses is refused in its own words while typing', () => {
  const { errors } = readAdvanced({ image: 'Not An Image', command: "'", env: '1BAD=x', sshPublicKey: 'hello' })
  expect(Object.keys(errors).sort()).toEqual(['command', 'env', 'image', 'sshPublicKey'])
})
