//! Sums of prices beside school arithmetic, at the edges of 64 and 128 bits.

mod common;
use common::Noise;
use flow402_core::price::add_prices;

/// floor(quantity x price / divisor) bit by bit, with nothing but subtraction.
fn long_division(product: u128, divisor: u64) -> u128 {
    let (mut quotient, mut rest) = (0u128, 0u128);
    for bit in (0..128).rev() {
        rest = (rest << 1) | (product >> bit & 1);
        quotient <<= 1;
        if rest >= u128::from(divisor) {
            rest -= u128::from(divisor);
            quotient |= 1;
        }
    }
    quotient
}

#[test]
fn every_price_is_the_exact_floor() {
    let mut noise = Noise::new(4);
    for _ in 0..20_000 {
        let mut number = || noise.number() >> noise.below(64);
        let (quantity, price, divisor) = (number(), number(), number().max(1));
        let expected = long_division(u128::from(quantity) * u128::from(price), divisor);
        assert_eq!(add_prices(0, [(quantity, price)], divisor), Some(expected));
    }
}

#[test]
fn a_sum_that_does_not_fit_and_a_division_by_nothing_have_no_value() {
    let most = u64::MAX;
    let square = u128::from(most) * u128::from(most);
    assert_eq!(add_prices(0, [(most, most)], 1), Some(square));
    assert_eq!(add_prices(u128::MAX - square, [(most, most)], 1), Some(u128::MAX));
    assert_eq!(add_prices(u128::MAX - square + 1, [(most, most)], 1), None);
    assert_eq!(add_prices(0, [(0, 0)], 0), None);
    assert_eq!(add_prices(0, [], 0), Some(0));
}
