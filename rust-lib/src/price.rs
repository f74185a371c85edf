//! Exact prices: products in 128 bits, floors, and no sum that wraps.

/// floor(quantity x price / divisor).
#[inline]
fn floor_price(quantity: u64, price: u64, divisor: u64) -> Option<u128> {
    let product = u128::from(quantity) * u128::from(price);
    if let Ok(product) = u64::try_from(product) {
        return product.checked_div(divisor).map(u128::from);
    }
    if divisor >> 32 != 0 {
        return product.checked_div(u128::from(divisor));
    }
    // By 32 bits at a time, as one divides on paper: the rest is below 2^32, so that each step fits in 64 bits.
    let (mut quotient, mut rest) = (0, 0);
    for shift in [96, 64, 32, 0] {
        let part = rest << 32 | (product >> shift) as u64 & 0xffff_ffff;
        quotient = quotient << 32 | u128::from(part.checked_div(divisor)?);
        rest = part % divisor;
    }
    Some(quotient)
}

/// Adds floor(quantity x price / divisor) of every pair to the sum. None when the divisor is 0 or the sum does not fit.
pub fn add_prices(sum: u128, pairs: impl IntoIterator<Item = (u64, u64)>, divisor: u64) -> Option<u128> {
    let mut sum = sum;
    for (quantity, price) in pairs {
        sum = sum.checked_add(floor_price(quantity, price, divisor)?)?;
    }
    Some(sum)
}
