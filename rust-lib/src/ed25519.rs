//! Ed25519 by the one rule of docs/statement.md: S below L, A and R canonical and neither of small order, and the equation with the
//! factor 8, [8][S]B = [8]R + [8][k]A. One by one and in a batch the verdict is the same, because both ask that same equation.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Range;

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};
use sha2::{Digest, Sha512};

/// The y coordinates of the eight points of small order: 0, 1, -1 and the two of order 8. The points 1 and -1 are the only ones with x = 0,
/// so that refusing these y with either sign refuses "minus zero" as well.
#[rustfmt::skip]
const SMALL_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
    [0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
     0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05],
    [0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
     0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a],
];

/// The point of an encoding that the rule allows for A and R: canonical, on the curve, not of small order.
pub fn allowed_point(encoding: &[u8; 32]) -> Option<EdwardsPoint> {
    let mut y = *encoding;
    y[31] &= 0x7f;
    let is_below_p = y[31] != 0x7f || y[0] < 0xed || y[1..31].iter().any(|&byte| byte != 0xff);
    if !is_below_p || SMALL_ORDER.contains(&y) {
        return None;
    }
    CompressedEdwardsY(*encoding).decompress()
}

/// k = SHA-512(R || A || message), in pieces.
#[derive(Clone)]
pub struct Challenge(Sha512);

impl Challenge {
    /// Begins with the key and the signature.
    pub fn new(key: &[u8; 32], signature: &[u8; 64]) -> Self {
        Self(Sha512::new_with_prefix(&signature[..32]).chain_update(key))
    }

    /// Takes the next bytes of the message.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(self) -> Scalar {
        Scalar::from_bytes_mod_order_wide(&self.0.finalize().into())
    }
}

/// A signature that passed every check but the equation.
struct Member {
    /// Which of the batch's keys.
    key: usize,
    r: EdwardsPoint,
    s: Scalar,
    k: Scalar,
}

/// Signatures that are checked together. A key that comes again is decoded once.
#[derive(Default)]
pub struct Batch {
    keys: Vec<Option<EdwardsPoint>>,
    positions: BTreeMap<[u8; 32], usize>,
    last_key: Option<([u8; 32], usize)>,
    /// None where the encoding alone is wrong.
    members: Vec<Option<Member>>,
}

/// As few as this are checked one by one: a batch would not be cheaper.
const ONE_BY_ONE: usize = 2;

impl Batch {
    /// Adds a signature over a message.
    pub fn add(&mut self, key: &[u8; 32], signature: &[u8; 64], message: &[u8]) {
        let mut challenge = Challenge::new(key, signature);
        challenge.feed(message);
        self.add_challenge(key, signature, challenge);
    }

    /// Adds a signature whose message was fed to the challenge.
    pub fn add_challenge(&mut self, key: &[u8; 32], signature: &[u8; 64], challenge: Challenge) {
        let position = self.position(key);
        let member = self.member(position, signature, challenge);
        self.members.push(member);
    }

    fn position(&mut self, key: &[u8; 32]) -> usize {
        if let Some((bytes, position)) = &self.last_key {
            if bytes == key {
                return *position;
            }
        }
        let position = *self.positions.entry(*key).or_insert_with(|| {
            self.keys.push(allowed_point(key));
            self.keys.len() - 1
        });
        self.last_key = Some((*key, position));
        position
    }

    fn member(&self, key: usize, signature: &[u8; 64], challenge: Challenge) -> Option<Member> {
        self.keys.get(key)?.as_ref()?;
        let s = Option::from(Scalar::from_canonical_bytes(signature[32..].try_into().ok()?))?;
        let r = allowed_point(signature[..32].try_into().ok()?)?;
        Some(Member { key, r, s, k: challenge.finish() })
    }

    /// The verdict on each signature, in the order in which they were added.
    pub fn verdicts(&self) -> Vec<bool> {
        let mut verdicts: Vec<bool> = self.members.iter().map(Option::is_some).collect();
        self.judge(0..self.members.len(), &mut verdicts);
        verdicts
    }

    fn judge(&self, range: Range<usize>, verdicts: &mut [bool]) {
        if self.holds(range.clone()) {
            return;
        }
        if range.len() <= 1 {
            verdicts[range].fill(false);
            return;
        }
        let middle = range.start + range.len() / 2;
        self.judge(range.start..middle, verdicts);
        self.judge(middle..range.end, verdicts);
    }

    /// Whether the equation holds for all readable signatures of the range.
    fn holds(&self, range: Range<usize>) -> bool {
        let members: Vec<&Member> = self.members[range].iter().flatten().collect();
        if members.len() <= ONE_BY_ONE {
            return members.iter().all(|member| self.holds_alone(member));
        }
        self.hold_together(&members)
    }

    fn key(&self, member: &Member) -> EdwardsPoint {
        self.keys.get(member.key).copied().flatten().unwrap_or_default()
    }

    fn holds_alone(&self, member: &Member) -> bool {
        let difference = EdwardsPoint::vartime_double_scalar_mul_basepoint(&member.k, &-self.key(member), &member.s) - member.r;
        difference.mul_by_cofactor().is_identity()
    }

    /// [8](sum of z R + sum of (z k) A - (sum of z S) B) = 0, with a factor z of 128 bits for each signature.
    fn hold_together(&self, members: &[&Member]) -> bool {
        let mut of_base = Scalar::ZERO;
        let mut of_keys: BTreeMap<usize, Scalar> = BTreeMap::new();
        let factors = factors(members);
        for (member, z) in members.iter().zip(&factors) {
            of_base -= z * member.s;
            *of_keys.entry(member.key).or_insert(Scalar::ZERO) += z * member.k;
        }
        let mut points: Vec<EdwardsPoint> = members.iter().map(|member| member.r).collect();
        let mut scalars = factors;
        for (key, scalar) in of_keys {
            points.push(self.keys.get(key).copied().flatten().unwrap_or_default());
            scalars.push(scalar);
        }
        points.push(ED25519_BASEPOINT_POINT);
        scalars.push(of_base);
        EdwardsPoint::vartime_multiscalar_mul(scalars, points).mul_by_cofactor().is_identity()
    }
}

/// The factors of a batch, drawn from a hash of the whole batch. They need not be secret, only out of the signers' reach: k already binds
/// R, A and the message of each signature, so that (k, S) of all of them fixes every equation, and whoever changes anything to make the
/// errors cancel gets other factors. Each try succeeds with a chance of 2^-128, as with factors from a random source; and the same bytes
/// always get the same verdict, on every machine.
fn factors(members: &[&Member]) -> Vec<Scalar> {
    let mut all = Sha512::new_with_prefix(b"flow402 ed25519 batch 1");
    for member in members {
        all.update(member.k.as_bytes());
        all.update(member.s.as_bytes());
    }
    let seed: [u8; 64] = all.finalize().into();
    let mut factors = Vec::with_capacity(members.len() + 4);
    for index in 0..members.len().div_ceil(4) as u64 {
        let four: [u8; 64] = Sha512::new_with_prefix(seed).chain_update(index.to_le_bytes()).finalize().into();
        for bytes in four.chunks_exact(16) {
            let mut low = [0; 32];
            low[..16].copy_from_slice(bytes);
            factors.push(Scalar::from_bytes_mod_order(low));
        }
    }
    factors.truncate(members.len());
    factors
}

/// Whether one signature is good.
pub fn is_signed(key: &[u8; 32], signature: &[u8; 64], message: &[u8]) -> bool {
    let mut batch = Batch::default();
    batch.add(key, signature, message);
    batch.verdicts() == [true]
}
