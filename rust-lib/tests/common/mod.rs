//! Bytes for tests: hex, and noise that is always the same.
#![allow(dead_code)]

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).expect("hex digits")).collect()
}

/// A generator of numbers that look random (xorshift64*).
pub struct Noise(u64);

impl Noise {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.number() >> 16) as usize % limit
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| (self.number() >> 32) as u8).collect()
    }
}

pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    Noise::new(seed).bytes(length)
}

/// A key of Ed25519 that signs as RFC 8032 says, with any point added to what it makes.
#[cfg(feature = "ed25519")]
pub mod signer {
    use curve25519_dalek::edwards::EdwardsPoint;
    use curve25519_dalek::scalar::{clamp_integer, Scalar};
    use curve25519_dalek::traits::Identity;
    use sha2::{Digest, Sha512};

    pub struct Signer {
        scalar: Scalar,
        /// What is added to the public key.
        pub torsion: EdwardsPoint,
        seed: [u8; 32],
    }

    impl Signer {
        pub fn new(seed: u64) -> Self {
            let hash: [u8; 64] = Sha512::digest(seed.to_le_bytes()).into();
            let low = hash[..32].try_into().expect("32 bytes");
            let seed = hash[32..].try_into().expect("32 bytes");
            Self { scalar: Scalar::from_bytes_mod_order(clamp_integer(low)), torsion: EdwardsPoint::identity(), seed }
        }

        pub fn public_key(&self) -> [u8; 32] {
            (EdwardsPoint::mul_base(&self.scalar) + self.torsion).compress().to_bytes()
        }

        pub fn sign(&self, message: &[u8]) -> [u8; 64] {
            self.sign_mixed(message, EdwardsPoint::identity())
        }

        /// A signature whose R has a point of small order added: good by the equation with the factor 8 only.
        pub fn sign_mixed(&self, message: &[u8], torsion: EdwardsPoint) -> [u8; 64] {
            let wide: [u8; 64] = Sha512::new_with_prefix(self.seed).chain_update(message).finalize().into();
            let nonce = Scalar::from_bytes_mod_order_wide(&wide);
            let r = (EdwardsPoint::mul_base(&nonce) + torsion).compress().to_bytes();
            let wide: [u8; 64] = Sha512::new_with_prefix(r).chain_update(self.public_key()).chain_update(message).finalize().into();
            let s = nonce + Scalar::from_bytes_mod_order_wide(&wide) * self.scalar;
            let mut signature = [0; 64];
            signature[..32].copy_from_slice(&r);
            signature[32..].copy_from_slice(s.as_bytes());
            signature
        }
    }
}
