//! The face in WebAssembly: bytes go in through one slab, answers come out through another, and nothing traps. js/wasm-engine.ts is the
//! other side. What is longer than the slab comes in pieces, so that memory stays as it is however much is checked.

use alloc::vec::Vec;
use core::cell::UnsafeCell;

use crate::digests::{digests, Digest};
use crate::merkle::{Tree, PROOF_LIMIT};
use crate::price::add_prices;
use crate::proofs::{consistency_places, inclusion_places, is_consistent, is_included};
use crate::sha256::Sha256;
use crate::sha3::Sha3;
use crate::Hash;

#[cfg(feature = "ed25519")]
use crate::ed25519::{Batch, Challenge};
#[cfg(feature = "ed25519")]
use crate::statement::StatementCheck;

#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}

const SLAB_BYTES: usize = 65_536;
/// How many digests or signatures one call takes.
const COUNT_LIMIT: usize = 4096;

/// Done.
const OK: i32 = 0;
/// The caller's mistake: a length that does not fit, or an end without a beginning.
const MISUSED: i32 = -1;
/// The numbers have no answer: no such leaf, a sum that does not fit.
const IMPOSSIBLE: i32 = -2;

/// What goes in and comes out: zeros at the start, so that they take no room in the module.
#[repr(C, align(16))]
struct Slabs {
    slab: [u8; SLAB_BYTES],
    lengths: [u32; COUNT_LIMIT],
    output: [u8; 32 * COUNT_LIMIT],
}

/// What is under way.
struct Calls {
    digest: Option<Running>,
    tree: Option<Tree>,
    sum: Option<(u128, u64)>,
    #[cfg(feature = "ed25519")]
    batch: Option<Batch>,
    #[cfg(feature = "ed25519")]
    signature: Option<([u8; 32], [u8; 64], Challenge)>,
    #[cfg(feature = "ed25519")]
    statement: Option<StatementCheck>,
}

struct Memory {
    slab: &'static mut [u8; SLAB_BYTES],
    lengths: &'static mut [u32; COUNT_LIMIT],
    output: &'static mut [u8; 32 * COUNT_LIMIT],
    calls: &'static mut Calls,
}

/// A digest that comes in pieces.
enum Running {
    Sha256(Sha256),
    Sha3(Sha3),
}

impl Running {
    fn feed(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.feed(bytes),
            Self::Sha3(hash) => hash.feed(bytes),
        }
    }

    fn finish(self) -> Hash {
        match self {
            Self::Sha256(hash) => hash.finish(),
            Self::Sha3(hash) => hash.finish(),
        }
    }
}

struct OneThread<Part>(UnsafeCell<Part>);

// SAFETY: an instance of a module without shared memory has one thread.
unsafe impl<Part> Sync for OneThread<Part> {}

static SLABS: OneThread<Slabs> =
    OneThread(UnsafeCell::new(Slabs { slab: [0; SLAB_BYTES], lengths: [0; COUNT_LIMIT], output: [0; 32 * COUNT_LIMIT] }));

static CALLS: OneThread<Calls> = OneThread(UnsafeCell::new(Calls {
    digest: None,
    tree: None,
    sum: None,
    #[cfg(feature = "ed25519")]
    batch: None,
    #[cfg(feature = "ed25519")]
    signature: None,
    #[cfg(feature = "ed25519")]
    statement: None,
}));

/// The memory, for the length of one call from JavaScript.
fn with<Answer>(call: impl FnOnce(Memory) -> Answer) -> Answer {
    // SAFETY: no export calls another one, so that these are the only references.
    let (slabs, calls) = unsafe { (&mut *SLABS.0.get(), &mut *CALLS.0.get()) };
    call(Memory { slab: &mut slabs.slab, lengths: &mut slabs.lengths, output: &mut slabs.output, calls })
}

fn attempt(call: impl FnOnce(Memory) -> Option<i32>) -> i32 {
    with(|memory| call(memory).unwrap_or(MISUSED))
}

fn hash_at(bytes: &[u8], at: usize) -> Option<Hash> {
    bytes.get(at..at.checked_add(32)?)?.try_into().ok()
}

/// The messages that lie one after the other in the slab, `before` bytes and then as many as the lengths say.
fn messages<'a>(slab: &'a [u8], lengths: &[u32], before: usize) -> Option<Vec<&'a [u8]>> {
    let mut messages = Vec::with_capacity(lengths.len());
    let mut rest = slab;
    for &length in lengths {
        let end = before.checked_add(length as usize)?;
        messages.push(rest.get(..end)?);
        rest = rest.get(end..)?;
    }
    Some(messages)
}

fn write_hashes(output: &mut [u8], hashes: &[Hash]) -> Option<()> {
    output.get_mut(..32 * hashes.len())?.copy_from_slice(hashes.as_flattened());
    Some(())
}

/// Where bytes go in: 64 KiB.
#[no_mangle]
pub extern "C" fn slab() -> *mut u8 {
    with(|memory| memory.slab.as_mut_ptr())
}

/// Where the lengths of up to 4096 messages go in.
#[no_mangle]
pub extern "C" fn lengths() -> *mut u32 {
    with(|memory| memory.lengths.as_mut_ptr())
}

/// Where answers come out.
#[no_mangle]
pub extern "C" fn output() -> *const u8 {
    with(|memory| memory.output.as_ptr())
}

fn digest_of(kind: u32) -> Option<Digest> {
    match kind {
        0 => Some(Digest::Sha256),
        1 => Some(Digest::Sha3),
        _ => None,
    }
}

/// Digests (0: SHA-256, 1: SHA3-256) of `count` messages of the slab.
#[no_mangle]
pub extern "C" fn digest_all(kind: u32, count: usize) -> i32 {
    attempt(|memory| {
        let messages = messages(memory.slab, memory.lengths.get(..count)?, 0)?;
        write_hashes(memory.output, &digests(digest_of(kind)?, &messages))?;
        Some(OK)
    })
}

/// Begins a digest that comes in pieces; 2 is the hash of a Merkle leaf.
#[no_mangle]
pub extern "C" fn digest_begin(kind: u32) -> i32 {
    attempt(|memory| {
        let mut running = match kind {
            0 | 2 => Running::Sha256(Sha256::default()),
            1 => Running::Sha3(Sha3::default()),
            _ => return None,
        };
        if kind == 2 {
            running.feed(&[0]);
        }
        memory.calls.digest = Some(running);
        Some(OK)
    })
}

#[no_mangle]
pub extern "C" fn digest_feed(length: usize) -> i32 {
    attempt(|memory| {
        memory.calls.digest.as_mut()?.feed(memory.slab.get(..length)?);
        Some(OK)
    })
}

#[no_mangle]
pub extern "C" fn digest_end() -> i32 {
    attempt(|memory| {
        let hash = memory.calls.digest.take()?.finish();
        write_hashes(memory.output, &[hash])?;
        Some(OK)
    })
}

/// Begins a tree of which only the root is wanted.
#[no_mangle]
pub extern "C" fn tree_begin() -> i32 {
    attempt(|memory| {
        memory.calls.tree = Some(Tree::default());
        Some(OK)
    })
}

/// Begins a tree of `size` leaves of which the inclusion proof of leaf `index` is wanted.
#[no_mangle]
pub extern "C" fn tree_begin_inclusion(index: u32, size: u32) -> i32 {
    attempt(|memory| {
        let Some(places) = inclusion_places(index.into(), size.into()) else { return Some(IMPOSSIBLE) };
        memory.calls.tree = Some(Tree::keeping(&places));
        Some(OK)
    })
}

/// Begins a tree of `size` leaves of which the consistency proof with the tree of the first `old` ones is wanted.
#[no_mangle]
pub extern "C" fn tree_begin_consistency(old: u32, size: u32) -> i32 {
    attempt(|memory| {
        let Some(places) = consistency_places(old.into(), size.into()) else { return Some(IMPOSSIBLE) };
        memory.calls.tree = Some(Tree::keeping(&places));
        Some(OK)
    })
}

/// Adds `count` leaves of equal length, one after the other in the slab.
#[no_mangle]
pub extern "C" fn tree_leaves(leaf_bytes: usize, count: usize) -> i32 {
    attempt(|memory| {
        let bytes = memory.slab.get(..leaf_bytes.checked_mul(count)?)?;
        if leaf_bytes == 0 {
            return None;
        }
        let leaves: Vec<&[u8]> = bytes.chunks_exact(leaf_bytes).collect();
        memory.calls.tree.as_mut()?.add_leaves(&leaves);
        Some(OK)
    })
}

/// Adds the leaf that came in pieces through digest_begin(2) and digest_feed.
#[no_mangle]
pub extern "C" fn tree_long_leaf() -> i32 {
    attempt(|memory| {
        let hash = memory.calls.digest.take()?.finish();
        memory.calls.tree.as_mut()?.add_hashes(&[hash]);
        Some(OK)
    })
}

/// Ends the tree: the root and then the hashes of the proof come out; answers how many hashes that are without the root.
#[no_mangle]
pub extern "C" fn tree_end() -> i32 {
    attempt(|memory| {
        let (root, proof) = memory.calls.tree.take()?.finish();
        let Some(proof) = proof.filter(|proof| proof.len() <= PROOF_LIMIT) else { return Some(IMPOSSIBLE) };
        write_hashes(memory.output, &[root])?;
        write_hashes(&mut memory.output[32..], &proof)?;
        Some(proof.len() as i32)
    })
}

/// Two hashes and then a proof of `count` hashes from the slab.
fn proof(slab: &[u8], count: usize) -> Option<(Hash, Hash, Vec<Hash>)> {
    let proof: Option<Vec<Hash>> = (0..count.min(SLAB_BYTES)).map(|index| hash_at(slab, 64 + 32 * index)).collect();
    Some((hash_at(slab, 0)?, hash_at(slab, 32)?, proof?))
}

/// Whether the leaf hash (first in the slab) is leaf `index` of the tree with this root (second), by the proof that follows: 1 or 0.
#[no_mangle]
pub extern "C" fn included(index: u32, size: u32, count: usize) -> i32 {
    attempt(|memory| {
        let (leaf, root, proof) = proof(memory.slab, count)?;
        Some(is_included(&leaf, index.into(), size.into(), &proof, &root).into())
    })
}

/// Whether the tree with the second root of the slab begins with the tree of the first, by the proof that follows: 1 or 0.
#[no_mangle]
pub extern "C" fn consistent(old_size: u32, new_size: u32, count: usize) -> i32 {
    attempt(|memory| {
        let (old_root, new_root, proof) = proof(memory.slab, count)?;
        Some(is_consistent(old_size.into(), &old_root, new_size.into(), &new_root, &proof).into())
    })
}

/// Begins a sum of prices.
#[no_mangle]
pub extern "C" fn prices_begin(divisor: u64) -> i32 {
    attempt(|memory| {
        if divisor == 0 {
            return Some(IMPOSSIBLE);
        }
        memory.calls.sum = Some((0, divisor));
        Some(OK)
    })
}

/// Adds `count` quantities and then as many prices, 64 bits each, from the slab.
#[no_mangle]
pub extern "C" fn prices_add(count: usize) -> i32 {
    attempt(|memory| {
        let half = count.checked_mul(8)?;
        let quantities = memory.slab.get(..half)?;
        let prices = memory.slab.get(half..half.checked_mul(2)?)?;
        let (sum, divisor) = memory.calls.sum.as_mut()?;
        let word = |bytes: &[u8]| bytes.try_into().map(u64::from_le_bytes).unwrap_or(0);
        let pairs = quantities.chunks_exact(8).map(word).zip(prices.chunks_exact(8).map(word));
        match add_prices(*sum, pairs, *divisor) {
            Some(added) => *sum = added,
            None => return Some(IMPOSSIBLE),
        }
        Some(OK)
    })
}

/// Ends the sum: 128 bits come out, the lowest byte first.
#[no_mangle]
pub extern "C" fn prices_end() -> i32 {
    attempt(|memory| {
        let (sum, _) = memory.calls.sum.take()?;
        memory.output[..16].copy_from_slice(&sum.to_le_bytes());
        Some(OK)
    })
}

#[cfg(feature = "ed25519")]
mod signed {
    use super::*;

    fn head(bytes: &[u8]) -> Option<([u8; 32], [u8; 64])> {
        Some((hash_at(bytes, 0)?, bytes.get(32..96)?.try_into().ok()?))
    }

    /// Begins a batch of signatures.
    #[no_mangle]
    pub extern "C" fn signatures_begin() -> i32 {
        attempt(|memory| {
            memory.calls.batch = Some(Batch::default());
            Some(OK)
        })
    }

    /// Adds `count` signatures: in the slab each is a key (32 bytes), the signature (64) and the message, whose length is in lengths.
    #[no_mangle]
    pub extern "C" fn signatures_add(count: usize) -> i32 {
        attempt(|memory| {
            let batch = memory.calls.batch.as_mut()?;
            for entry in messages(memory.slab, memory.lengths.get(..count)?, 96)? {
                let (key, signature) = head(entry)?;
                batch.add(&key, &signature, &entry[96..]);
            }
            Some(OK)
        })
    }

    /// Begins a signature whose message comes in pieces: key and signature are in the slab.
    #[no_mangle]
    pub extern "C" fn signature_begin() -> i32 {
        attempt(|memory| {
            let (key, signature) = head(memory.slab)?;
            memory.calls.signature = Some((key, signature, Challenge::new(&key, &signature)));
            Some(OK)
        })
    }

    #[no_mangle]
    pub extern "C" fn signature_feed(length: usize) -> i32 {
        attempt(|memory| {
            memory.calls.signature.as_mut()?.2.feed(memory.slab.get(..length)?);
            Some(OK)
        })
    }

    /// Adds the signature that came in pieces to the batch.
    #[no_mangle]
    pub extern "C" fn signature_end() -> i32 {
        attempt(|memory| {
            let (key, signature, challenge) = memory.calls.signature.take()?;
            memory.calls.batch.as_mut()?.add_challenge(&key, &signature, challenge);
            Some(OK)
        })
    }

    /// Ends the batch: a byte for each signature comes out, 1 good and 0 not; answers how many.
    #[no_mangle]
    pub extern "C" fn signatures_end() -> i32 {
        attempt(|memory| {
            let verdicts = memory.calls.batch.take()?.verdicts();
            for (byte, verdict) in memory.output.get_mut(..verdicts.len())?.iter_mut().zip(&verdicts) {
                *byte = u8::from(*verdict);
            }
            Some(verdicts.len() as i32)
        })
    }

    /// Begins the check of a statement of so many bytes.
    #[no_mangle]
    pub extern "C" fn statement_begin(total: u64) -> i32 {
        attempt(|memory| {
            memory.calls.statement = Some(StatementCheck::new(total));
            Some(OK)
        })
    }

    /// Takes the next bytes of the statement from the slab. 1: more is wanted; 0: the verdict is certain.
    #[no_mangle]
    pub extern "C" fn statement_feed(length: usize) -> i32 {
        attempt(|memory| Some(memory.calls.statement.as_mut()?.feed(memory.slab.get(..length)?).into()))
    }

    /// Ends the check. Out come, lowest byte first: fault (0: none, else its position in statementFaults from 1), record, whether there are
    /// figures, records, all of 32 bits; stated and computed, of 64 bits; the root.
    #[no_mangle]
    pub extern "C" fn statement_end() -> i32 {
        attempt(|memory| {
            let verdict = memory.calls.statement.take()?.finish();
            let (head, figures, root) = match verdict {
                Ok(accepted) => ([0, 0, 0, accepted.records], (0, 0), accepted.root),
                Err(refusal) => {
                    let has_figures = u32::from(refusal.figures.is_some());
                    ([refusal.fault as u32, refusal.record, has_figures, 0], refusal.figures.unwrap_or((0, 0)), [0; 32])
                }
            };
            let numbers = head.iter().flat_map(|number| number.to_le_bytes());
            let figures = [figures.0, figures.1].into_iter().flat_map(u64::to_le_bytes);
            for (byte, value) in memory.output.iter_mut().zip(numbers.chain(figures).chain(root)) {
                *byte = value;
            }
            Some(OK)
        })
    }
}
