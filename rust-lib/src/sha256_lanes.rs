//! SHA-256 of four messages at once, one in each lane of a vector.

use crate::lanes::U32x4;
use crate::sha256::{INITIAL, ROUND};
use crate::Hash;

/// The byte that RFC 6962 puts before a leaf (0) or a node (1); none before a plain message.
pub type Prefix = Option<u8>;

/// How many blocks of 64 bytes a message fills with its prefix and padding.
pub(crate) fn block_count(prefix: Prefix, length: usize) -> usize {
    (length + usize::from(prefix.is_some()) + 8) / 64 + 1
}

fn sixteen(bytes: &[u8], at: usize) -> Option<&[u8; 16]> {
    bytes.get(at..)?.first_chunk()
}

/// Sixteen bytes at `at` of prefix || message || 80 || zeros, where they are not all of the message; the length is not written here.
#[inline(never)]
fn edge(prefix: Prefix, message: &[u8], at: usize) -> [u8; 16] {
    let shift = usize::from(prefix.is_some());
    let Some(present) = (message.len() + shift).checked_sub(at) else { return [0; 16] };
    let mark = if present < 16 { 0x80u128 << (8 * present) } else { 0 };
    if let (0, Some(first), Some(beginning)) = (at, prefix, sixteen(message, 0)) {
        return ((u128::from_le_bytes(*beginning) << 8) | u128::from(first)).to_le_bytes();
    }
    if let (1..16, true, Some(end)) = (present, at >= shift, message.last_chunk()) {
        // The last sixteen bytes, pushed down so that those before `at` fall out.
        return ((u128::from_le_bytes(*end) >> (8 * (16 - present))) | mark).to_le_bytes();
    }
    let mut bytes = mark.to_le_bytes();
    for (offset, byte) in bytes.iter_mut().enumerate().take(present) {
        *byte = match (at + offset).checked_sub(shift) {
            Some(index) => message.get(index).copied().unwrap_or(0),
            None => prefix.unwrap_or(0),
        };
    }
    bytes
}

/// One round; the roles of the eight words move by one, so that nothing has to be moved.
macro_rules! round {
    ($a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident, $word:expr, $constant:expr) => {
        let s1 = $e.rotate_right::<6>().xor($e.rotate_right::<11>()).xor($e.rotate_right::<25>());
        let choice = $f.select($g, $e);
        let first = $h.add(U32x4::splat($constant)).add($word).add(s1).add(choice);
        let s0 = $a.rotate_right::<2>().xor($a.rotate_right::<13>()).xor($a.rotate_right::<22>());
        // The majority of a, b and c: c where a and b differ, else a.
        let majority = $c.select($a, $a.xor($b));
        $d = $d.add(first);
        $h = first.add(s0).add(majority);
    };
}

/// The word of the schedule sixteen further, in the place of the old one.
macro_rules! extend {
    ($w:ident, $i:literal) => {
        let (w15, w2) = ($w[($i + 1) % 16], $w[($i + 14) % 16]);
        let s0 = w15.rotate_right::<7>().xor(w15.rotate_right::<18>()).xor(w15.shift_right::<3>());
        let s1 = w2.rotate_right::<17>().xor(w2.rotate_right::<19>()).xor(w2.shift_right::<10>());
        $w[$i] = $w[$i].add(s0).add($w[($i + 9) % 16]).add(s1);
    };
}

macro_rules! sixteen_rounds {
    ($a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident, $w:ident, $constants:expr) => {
        round!($a $b $c $d $e $f $g $h, $w[0], $constants[0]);
        round!($h $a $b $c $d $e $f $g, $w[1], $constants[1]);
        round!($g $h $a $b $c $d $e $f, $w[2], $constants[2]);
        round!($f $g $h $a $b $c $d $e, $w[3], $constants[3]);
        round!($e $f $g $h $a $b $c $d, $w[4], $constants[4]);
        round!($d $e $f $g $h $a $b $c, $w[5], $constants[5]);
        round!($c $d $e $f $g $h $a $b, $w[6], $constants[6]);
        round!($b $c $d $e $f $g $h $a, $w[7], $constants[7]);
        round!($a $b $c $d $e $f $g $h, $w[8], $constants[8]);
        round!($h $a $b $c $d $e $f $g, $w[9], $constants[9]);
        round!($g $h $a $b $c $d $e $f, $w[10], $constants[10]);
        round!($f $g $h $a $b $c $d $e, $w[11], $constants[11]);
        round!($e $f $g $h $a $b $c $d, $w[12], $constants[12]);
        round!($d $e $f $g $h $a $b $c, $w[13], $constants[13]);
        round!($c $d $e $f $g $h $a $b, $w[14], $constants[14]);
        round!($b $c $d $e $f $g $h $a, $w[15], $constants[15]);
    };
}

#[inline(never)]
fn compress_four(state: &mut [U32x4; 8], block: &[U32x4; 16]) {
    let mut w = *block;
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    let [first, later @ ..] = &ROUND;
    sixteen_rounds!(a b c d e f g h, w, first);
    for constants in later {
        extend!(w, 0);
        extend!(w, 1);
        extend!(w, 2);
        extend!(w, 3);
        extend!(w, 4);
        extend!(w, 5);
        extend!(w, 6);
        extend!(w, 7);
        extend!(w, 8);
        extend!(w, 9);
        extend!(w, 10);
        extend!(w, 11);
        extend!(w, 12);
        extend!(w, 13);
        extend!(w, 14);
        extend!(w, 15);
        sixteen_rounds!(a b c d e f g h, w, constants);
    }
    for (word, add) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *word = word.add(add);
    }
}

/// Sixteen bytes at `at` of each padded message; the lengths are not written here.
#[inline(always)]
fn quarter(prefix: Prefix, messages: &[&[u8]; 4], shortest: usize, at: usize) -> [U32x4; 4] {
    match at.checked_sub(usize::from(prefix.is_some())).filter(|start| start + 16 <= shortest) {
        Some(start) => U32x4::from_lanes(messages.map(|message| sixteen(message, start).unwrap_or(&[0; 16]))),
        None => {
            let [a, b, c, d] = messages.map(|message| edge(prefix, message, at));
            U32x4::from_lanes([&a, &b, &c, &d])
        }
    }
}

/// SHA-256 of four messages, each with the prefix before it. They must fill equally many blocks.
pub fn digest_four(prefix: Prefix, messages: [&[u8]; 4]) -> [Hash; 4] {
    let blocks = block_count(prefix, messages[0].len());
    debug_assert!(messages.iter().all(|message| block_count(prefix, message.len()) == blocks));
    let shortest = messages.iter().fold(usize::MAX, |shortest, message| shortest.min(message.len()));
    let mut state = INITIAL.map(U32x4::splat);
    for block in 0..blocks {
        let part = |index: usize| quarter(prefix, &messages, shortest, 64 * block + 16 * index);
        let ([q0, q1, q2], mut q3) = ([part(0), part(1), part(2)], part(3));
        if block + 1 == blocks {
            let bits = messages.map(|message| 8 * (message.len() as u64 + u64::from(prefix.is_some())));
            q3[2] = U32x4::from_array(bits.map(|bits| (bits >> 32) as u32));
            q3[3] = U32x4::from_array(bits.map(|bits| bits as u32));
        }
        let words = [q0[0], q0[1], q0[2], q0[3], q1[0], q1[1], q1[2], q1[3], q2[0], q2[1], q2[2], q2[3], q3[0], q3[1], q3[2], q3[3]];
        compress_four(&mut state, &words);
    }
    let [a, b, c, d, e, f, g, h] = state;
    let (first, second) = (U32x4::to_lanes([a, b, c, d]), U32x4::to_lanes([e, f, g, h]));
    core::array::from_fn(|lane| {
        let mut digest = [0; 32];
        digest[..16].copy_from_slice(&first[lane]);
        digest[16..].copy_from_slice(&second[lane]);
        digest
    })
}
