// The memory that JavaScript and the module share: one slab in, one out. What is longer than the slab goes in pieces.

/** What every build of the module exports for its memory. */
export type SlabExports = {
  memory: WebAssembly.Memory
  slab: () => number
  lengths: () => number
  output: () => number
}

/** Bytes of the slab, and how many lengths there is room for: the constants of src/wasm.rs. */
export const slabBytes = 65_536
export const countLimit = 4096

/** What the module answers when the numbers have no answer. */
export const impossible = -2

export type Slab = {
  /** Bytes of the slab, from its beginning. */
  put: (bytes: Uint8Array, at?: number) => void
  putLengths: (lengths: ArrayLike<number>) => void
  putWords: (words: BigUint64Array, at: number) => void
  /** A copy of the first bytes of the answer. */
  answer: (length: number) => Uint8Array<ArrayBuffer>
  /** Puts the bytes into the slab part after part, and calls for each; ends early when the call says false. */
  feed: (bytes: Uint8Array, call: (length: number) => boolean) => void
}

export function slabOf(exports: SlabExports): Slab {
  const [slabAt, lengthsAt, outputAt] = [exports.slab(), exports.lengths(), exports.output()]
  let bytes = new Uint8Array(exports.memory.buffer)
  /** Memory that grows leaves the views of the old one empty. */
  const memory = () => {
    if (bytes.buffer !== exports.memory.buffer) bytes = new Uint8Array(exports.memory.buffer)
    return bytes
  }
  return {
    put: (from, at = 0) => memory().set(from, slabAt + at),
    putLengths: (lengths) => new Uint32Array(exports.memory.buffer, lengthsAt, lengths.length).set(lengths),
    putWords: (words, at) => new BigUint64Array(exports.memory.buffer, slabAt + at, words.length).set(words),
    answer: (length) => memory().slice(outputAt, outputAt + length),
    feed(from, call) {
      for (let start = 0; start < from.length; start += slabBytes) {
        const part = from.subarray(start, start + slabBytes)
        memory().set(part, slabAt)
        if (!call(part.length)) return
      }
    },
  }
}

/** The answer of a call that cannot go wrong: an error here is a mistake of this program, never of the data. */
export function done(answer: number): number {
  if (answer < 0) throw new Error(`The WebAssembly module refused a call (${answer}).`)
  return answer
}
