// Network: which network leases get. Only what the doctor can prove closed is used; without a proven bridge it is `none`.
import type { Home } from './home.ts'
import type { Runtime } from './runtimes/runtime.ts'

/** The network of leases and doctor containers. */
export async function prepareNetwork(_home: Home, _runtime: Runtime, _say: (line: string) => void): Promise<string> {
  return 'none'
}
