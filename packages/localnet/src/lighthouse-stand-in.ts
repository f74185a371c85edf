// Stands in for the Lighthouse program, whose guard instructions wallets add to what they sign: a program that always succeeds.
import { type Address, address, type EncodedAccount, lamports } from '@solana/kit'

/** Where Lighthouse lives on mainnet and devnet. Source: Lighthouse, "Program addresses". */
export const lighthouseProgram: Address = address('L2TExMFKdjpN9kozasaurPirfHy9P8sbXoAN1qA3S95')

/**
 * NOT Lighthouse: the real program is not to be had here. This one asserts nothing and succeeds whatever its data and accounts,
 * so that a transaction with guards can land; that a guard fails cannot be shown with it.
 */
export function lighthouseStandIn(rentExemptLamports: (bytes: number) => bigint): EncodedAccount {
  const data = elfOf(returnZero)
  return {
    address: lighthouseProgram,
    lamports: lamports(rentExemptLamports(data.length)),
    programAddress: address('BPFLoader2111111111111111111111111111111111'),
    executable: true,
    data,
    space: BigInt(data.length),
  }
}

// sBPF version 0, 8 bytes each: `mov64 r0, 0` (0xb7), the result of the program, and `exit` (0x95).
const returnZero = Uint8Array.of(0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0)

const headerBytes = 64
const sectionBytes = 64

/**
 * The least ELF that the loader takes: a header, the code, the names of the sections, and three sections (none, .text, .shstrtab).
 * Source: ELF-64 object file format; solana-sbpf, elf.rs (e_machine 247 is BPF, e_flags 0 is version 0; .text must lie at the
 * address that it has in the file, and the entry point in it).
 */
function elfOf(code: Uint8Array): Uint8Array {
  const names = Buffer.from('\0.text\0.shstrtab\0')
  const codeAt = headerBytes
  const namesAt = codeAt + code.length
  const sectionsAt = Math.ceil((namesAt + names.length) / 8) * 8
  const file = Buffer.alloc(sectionsAt + 3 * sectionBytes)
  const u16 = (at: number, value: number) => file.writeUInt16LE(value, at)
  const u32 = (at: number, value: number) => file.writeUInt32LE(value, at)
  const u64 = (at: number, value: number) => file.writeBigUInt64LE(BigInt(value), at)

  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]) // "\x7fELF", 64 bits, little-endian, version 1
  u16(16, 3) // e_type: shared object
  u16(18, 247) // e_machine
  u32(20, 1) // e_version
  u64(24, codeAt) // e_entry
  u64(40, sectionsAt) // e_shoff
  u16(52, headerBytes) // e_ehsize
  u16(54, 56) // e_phentsize
  u16(58, sectionBytes) // e_shentsize
  u16(60, 3) // e_shnum
  u16(62, 2) // e_shstrndx
  file.set(code, codeAt)
  file.set(names, namesAt)

  const section = (index: number, given: { name: string; type: number; flags: number; at: number; length: number; address: number }) => {
    const start = sectionsAt + index * sectionBytes
    u32(start, names.indexOf(given.name))
    u32(start + 4, given.type)
    u64(start + 8, given.flags)
    u64(start + 16, given.address)
    u64(start + 24, given.at)
    u64(start + 32, given.length)
    u64(start + 48, 1) // alignment
  }
  section(1, { name: '.text', type: 1, flags: 6, at: codeAt, length: code.length, address: codeAt }) // SHT_PROGBITS, alloc and execute
  section(2, { name: '.shstrtab', type: 3, flags: 0, at: namesAt, length: names.length, address: 0 }) // SHT_STRTAB
  return new Uint8Array(file)
}
