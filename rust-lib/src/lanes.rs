//! Vectors of four 32-bit and two 64-bit words: 128-bit registers in WebAssembly, arrays elsewhere, so that native tests run the same code.

#[cfg(target_arch = "wasm32")]
mod words {
    use core::arch::wasm32::*;

    /// Four words of 32 bits.
    #[derive(Clone, Copy)]
    pub struct U32x4(v128);

    impl U32x4 {
        #[inline(always)]
        pub fn splat(word: u32) -> Self {
            Self(u32x4_splat(word))
        }
        #[inline(always)]
        pub fn from_array([a, b, c, d]: [u32; 4]) -> Self {
            Self(u32x4(a, b, c, d))
        }
        #[inline(always)]
        pub fn add(self, other: Self) -> Self {
            Self(u32x4_add(self.0, other.0))
        }
        #[inline(always)]
        pub fn xor(self, other: Self) -> Self {
            Self(v128_xor(self.0, other.0))
        }
        /// Bits of `self` where `mask` is 1, of `other` where it is 0.
        #[inline(always)]
        pub fn select(self, other: Self, mask: Self) -> Self {
            Self(v128_bitselect(self.0, other.0, mask.0))
        }
        #[inline(always)]
        pub fn rotate_right<const BITS: u32>(self) -> Self {
            Self(v128_or(u32x4_shr(self.0, BITS), u32x4_shl(self.0, 32 - BITS)))
        }
        #[inline(always)]
        pub fn shift_right<const BITS: u32>(self) -> Self {
            Self(u32x4_shr(self.0, BITS))
        }
        #[inline(always)]
        fn reversed(words: v128) -> v128 {
            u8x16_shuffle::<3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12>(words, words)
        }
        #[inline(always)]
        fn turned([a, b, c, d]: [v128; 4]) -> [v128; 4] {
            let ab_low = u32x4_shuffle::<0, 4, 1, 5>(a, b);
            let ab_high = u32x4_shuffle::<2, 6, 3, 7>(a, b);
            let cd_low = u32x4_shuffle::<0, 4, 1, 5>(c, d);
            let cd_high = u32x4_shuffle::<2, 6, 3, 7>(c, d);
            [
                u64x2_shuffle::<0, 2>(ab_low, cd_low),
                u64x2_shuffle::<1, 3>(ab_low, cd_low),
                u64x2_shuffle::<0, 2>(ab_high, cd_high),
                u64x2_shuffle::<1, 3>(ab_high, cd_high),
            ]
        }
        /// Sixteen bytes of each of four lanes, as four vectors of big-endian words: vector i holds word i of every lane.
        #[inline(always)]
        pub fn from_lanes(lanes: [&[u8; 16]; 4]) -> [Self; 4] {
            // SAFETY: sixteen bytes are there to be read, and a load needs no alignment.
            let load = |lane: &[u8; 16]| Self::reversed(unsafe { v128_load(lane.as_ptr().cast()) });
            let [a, b, c, d] = lanes;
            Self::turned([load(a), load(b), load(c), load(d)]).map(Self)
        }
        /// The way back.
        #[inline(always)]
        pub fn to_lanes(words: [Self; 4]) -> [[u8; 16]; 4] {
            Self::turned(words.map(|word| word.0)).map(|lane| {
                let mut bytes = [0; 16];
                // SAFETY: sixteen bytes are there to be written, and a store needs no alignment.
                unsafe { v128_store(bytes.as_mut_ptr().cast(), Self::reversed(lane)) };
                bytes
            })
        }
    }

    /// Two words of 64 bits.
    #[derive(Clone, Copy)]
    pub struct U64x2(v128);

    impl U64x2 {
        #[inline(always)]
        pub fn splat(word: u64) -> Self {
            Self(u64x2_splat(word))
        }
        #[inline(always)]
        pub fn from_array(words: [u64; 2]) -> Self {
            Self(u64x2(words[0], words[1]))
        }
        #[inline(always)]
        pub fn to_array(self) -> [u64; 2] {
            [u64x2_extract_lane::<0>(self.0), u64x2_extract_lane::<1>(self.0)]
        }
        #[inline(always)]
        pub fn xor(self, other: Self) -> Self {
            Self(v128_xor(self.0, other.0))
        }
        /// `other` where `self` has no bit.
        #[inline(always)]
        pub fn not_and(self, other: Self) -> Self {
            Self(v128_andnot(other.0, self.0))
        }
        #[inline(always)]
        pub fn rotate_left(self, bits: u32) -> Self {
            if bits == 0 {
                // There is no shift by 64.
                return self;
            }
            Self(v128_or(u64x2_shl(self.0, bits), u64x2_shr(self.0, 64 - bits)))
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod words {
    use core::array::from_fn;

    /// Four words of 32 bits.
    #[derive(Clone, Copy)]
    pub struct U32x4([u32; 4]);

    impl U32x4 {
        pub fn splat(word: u32) -> Self {
            Self([word; 4])
        }
        pub fn from_array(words: [u32; 4]) -> Self {
            Self(words)
        }
        pub fn add(self, other: Self) -> Self {
            Self(from_fn(|lane| self.0[lane].wrapping_add(other.0[lane])))
        }
        pub fn xor(self, other: Self) -> Self {
            Self(from_fn(|lane| self.0[lane] ^ other.0[lane]))
        }
        pub fn select(self, other: Self, mask: Self) -> Self {
            Self(from_fn(|lane| (self.0[lane] & mask.0[lane]) | (other.0[lane] & !mask.0[lane])))
        }
        pub fn rotate_right<const BITS: u32>(self) -> Self {
            Self(self.0.map(|word| word.rotate_right(BITS)))
        }
        pub fn shift_right<const BITS: u32>(self) -> Self {
            Self(self.0.map(|word| word >> BITS))
        }
        pub fn from_lanes(lanes: [&[u8; 16]; 4]) -> [Self; 4] {
            from_fn(|word| Self(lanes.map(|lane| u32::from_be_bytes(from_fn(|byte| lane[4 * word + byte])))))
        }
        pub fn to_lanes(words: [Self; 4]) -> [[u8; 16]; 4] {
            from_fn(|lane| from_fn(|byte| words[byte / 4].0[lane].to_be_bytes()[byte % 4]))
        }
    }

    /// Two words of 64 bits.
    #[derive(Clone, Copy)]
    pub struct U64x2([u64; 2]);

    impl U64x2 {
        pub fn splat(word: u64) -> Self {
            Self([word; 2])
        }
        pub fn from_array(words: [u64; 2]) -> Self {
            Self(words)
        }
        pub fn to_array(self) -> [u64; 2] {
            self.0
        }
        pub fn xor(self, other: Self) -> Self {
            Self(from_fn(|lane| self.0[lane] ^ other.0[lane]))
        }
        pub fn not_and(self, other: Self) -> Self {
            Self(from_fn(|lane| !self.0[lane] & other.0[lane]))
        }
        pub fn rotate_left(self, bits: u32) -> Self {
            Self(self.0.map(|word| word.rotate_left(bits)))
        }
    }
}

pub use words::{U32x4, U64x2};
