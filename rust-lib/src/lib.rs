//! The core: digests, Merkle trees, signatures, prices and the check of a usage statement, over bytes and without any input trapping.
#![cfg_attr(target_arch = "wasm32", no_std)]
#![deny(unsafe_op_in_unsafe_fn)]

extern crate alloc;

pub mod digests;
#[cfg(feature = "ed25519")]
pub mod ed25519;
mod lanes;
pub mod merkle;
pub mod price;
pub mod proofs;
pub mod sha256;
mod sha256_lanes;
pub mod sha3;

#[cfg(feature = "ed25519")]
pub mod bill;
#[cfg(feature = "ed25519")]
pub mod record;
#[cfg(feature = "ed25519")]
pub mod statement;

#[cfg(target_arch = "wasm32")]
mod wasm;

/// 32 bytes: SHA-256 or SHA3-256 of something.
pub type Hash = [u8; 32];

pub use sha256_lanes::{digest_four, Prefix};
