// Brings the committed WebAssembly to life, and says why where that is impossible.

/** This process or page cannot run the module: no WebAssembly, or none with SIMD, or forbidden by the page. The twin does the work then. */
export class WasmMissing extends Error {
  override name = 'WasmMissing'
}

/** The smallest module that uses SIMD: a function that splats 0 and drops it. */
const simdProbe = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 10, 9, 1, 7, 0, 65, 0, 253, 15, 26, 11)

/** Whether this process or page runs WebAssembly with SIMD. */
export function runsSimd(): boolean {
  return typeof WebAssembly === 'object' && WebAssembly.validate(simdProbe)
}

/** Compiles and instantiates a module that imports nothing. WasmMissing where that cannot be. */
export async function openWasm<Exports>(base64: string): Promise<Exports> {
  if (typeof WebAssembly !== 'object') throw new WasmMissing('There is no WebAssembly here.')
  if (!runsSimd()) throw new WasmMissing('WebAssembly has no SIMD here.')
  const bytes = bytesOf(base64)
  try {
    const { instance } = await WebAssembly.instantiate(bytes)
    return instance.exports as Exports
  } catch (error) {
    // A content security policy without 'wasm-unsafe-eval' refuses here.
    throw new WasmMissing('WebAssembly may not be compiled here.', { cause: error })
  }
}

function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  const text = atob(base64)
  const bytes = new Uint8Array(text.length)
  for (let at = 0; at < text.length; at += 1) bytes[at] = text.charCodeAt(at)
  return bytes
}
