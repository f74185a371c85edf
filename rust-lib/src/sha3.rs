//! SHA3-256 (FIPS 202): two messages at once, one in each lane, and one message that comes in pieces.

use crate::lanes::U64x2;
use crate::Hash;

/// Bytes that one permutation takes in.
pub(crate) const RATE: usize = 136;

#[rustfmt::skip]
const ROUND: [u64; 24] = [
    0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000, 0x000000000000808b, 0x0000000080000001,
    0x8000000080008081, 0x8000000000008009, 0x000000000000008a, 0x0000000000000088, 0x0000000080008009, 0x000000008000000a,
    0x000000008000808b, 0x800000000000008b, 0x8000000000008089, 0x8000000000008003, 0x8000000000008002, 0x8000000000000080,
    0x000000000000800a, 0x800000008000000a, 0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
];

/// What a permutation needs of a word, be it one lane or two.
trait Word: Copy {
    fn of(word: u64) -> Self;
    fn xor(self, other: Self) -> Self;
    fn not_and(self, other: Self) -> Self;
    fn rotate(self, bits: u32) -> Self;
}

impl Word for u64 {
    #[inline(always)]
    fn of(word: u64) -> Self {
        word
    }
    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        self ^ other
    }
    #[inline(always)]
    fn not_and(self, other: Self) -> Self {
        !self & other
    }
    #[inline(always)]
    fn rotate(self, bits: u32) -> Self {
        self.rotate_left(bits)
    }
}

impl Word for U64x2 {
    #[inline(always)]
    fn of(word: u64) -> Self {
        U64x2::splat(word)
    }
    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        self.xor(other)
    }
    #[inline(always)]
    fn not_and(self, other: Self) -> Self {
        self.not_and(other)
    }
    #[inline(always)]
    fn rotate(self, bits: u32) -> Self {
        self.rotate_left(bits)
    }
}

/// Rotates five words to their places in row `$y` and mixes the row: rho, pi and chi of FIPS 202 with the theta of the columns.
macro_rules! row {
    ($moved:ident, $state:ident, $mixed:ident, $y:literal, $($from:literal $bits:literal),*) => {
        let row = [$($state[$from].xor($mixed[$from % 5]).rotate($bits)),*];
        $moved[$y] = row[0].xor(row[1].not_and(row[2]));
        $moved[$y + 1] = row[1].xor(row[2].not_and(row[3]));
        $moved[$y + 2] = row[2].xor(row[3].not_and(row[4]));
        $moved[$y + 3] = row[3].xor(row[4].not_and(row[0]));
        $moved[$y + 4] = row[4].xor(row[0].not_and(row[1]));
    };
}

#[inline(always)]
fn column<W: Word>(state: &[W; 25], x: usize) -> W {
    state[x].xor(state[x + 5]).xor(state[x + 10]).xor(state[x + 15]).xor(state[x + 20])
}

#[inline(always)]
fn permute<W: Word>(state: &mut [W; 25]) {
    for constant in ROUND {
        let c = [column(state, 0), column(state, 1), column(state, 2), column(state, 3), column(state, 4)];
        let mixed = [
            c[4].xor(c[1].rotate(1)),
            c[0].xor(c[2].rotate(1)),
            c[1].xor(c[3].rotate(1)),
            c[2].xor(c[4].rotate(1)),
            c[3].xor(c[0].rotate(1)),
        ];
        let mut moved = [W::of(0); 25];
        row!(moved, state, mixed, 0, 0 0, 6 44, 12 43, 18 21, 24 14);
        row!(moved, state, mixed, 5, 3 28, 9 20, 10 3, 16 45, 22 61);
        row!(moved, state, mixed, 10, 1 1, 7 6, 13 25, 19 8, 20 18);
        row!(moved, state, mixed, 15, 4 27, 5 36, 11 10, 17 15, 23 56);
        row!(moved, state, mixed, 20, 2 62, 8 55, 14 39, 15 41, 21 2);
        moved[0] = moved[0].xor(W::of(constant));
        *state = moved;
    }
}

/// How many permutations a message of this length takes.
pub(crate) fn block_count(length: usize) -> usize {
    length / RATE + 1
}

/// One block of message || 06 || zeros || 80.
fn padded(message: &[u8], block: usize, blocks: usize) -> [u8; RATE] {
    let mut bytes = [0; RATE];
    let rest = message.get(block * RATE..).unwrap_or(&[]);
    let taken = rest.len().min(RATE);
    bytes[..taken].copy_from_slice(&rest[..taken]);
    if block + 1 == blocks {
        bytes[taken] = 0x06;
        bytes[RATE - 1] |= 0x80;
    }
    bytes
}

fn word(bytes: &[u8; RATE], index: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[8 * index..8 * index + 8]);
    u64::from_le_bytes(word)
}

fn written(words: [u64; 4]) -> Hash {
    let mut digest = [0; 32];
    for (bytes, word) in digest.chunks_exact_mut(8).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    digest
}

/// SHA3-256 of two messages. They must fill equally many blocks.
pub fn digest_two(messages: [&[u8]; 2]) -> [Hash; 2] {
    let blocks = block_count(messages[0].len());
    debug_assert_eq!(blocks, block_count(messages[1].len()));
    let mut state = [U64x2::splat(0); 25];
    for block in 0..blocks {
        let [first, second] = messages.map(|message| padded(message, block, blocks));
        for (index, lane) in state.iter_mut().enumerate().take(RATE / 8) {
            *lane = lane.xor(U64x2::from_array([word(&first, index), word(&second, index)]));
        }
        permute(&mut state);
    }
    let words = [state[0], state[1], state[2], state[3]].map(U64x2::to_array);
    core::array::from_fn(|lane| written(words.map(|pair| pair[lane])))
}

/// A digest in the making.
#[derive(Clone)]
pub struct Sha3 {
    state: [u64; 25],
    block: [u8; RATE],
    filled: usize,
}

impl Default for Sha3 {
    fn default() -> Self {
        Self { state: [0; 25], block: [0; RATE], filled: 0 }
    }
}

impl Sha3 {
    fn absorb(&mut self) {
        for index in 0..RATE / 8 {
            self.state[index] ^= word(&self.block, index);
        }
        permute(&mut self.state);
        self.filled = 0;
    }

    /// Takes the next bytes of the message.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let taken = bytes.len().min(RATE - self.filled);
            self.block[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
            self.filled += taken;
            bytes = &bytes[taken..];
            if self.filled == RATE {
                self.absorb();
            }
        }
    }

    /// The digest of all that was fed.
    pub fn finish(mut self) -> Hash {
        self.block[self.filled..].fill(0);
        self.block[self.filled] = 0x06;
        self.block[RATE - 1] |= 0x80;
        self.absorb();
        written([self.state[0], self.state[1], self.state[2], self.state[3]])
    }
}

/// SHA3-256 of one message.
pub fn digest(message: &[u8]) -> Hash {
    let mut hash = Sha3::default();
    hash.feed(message);
    hash.finish()
}
