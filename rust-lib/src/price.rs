//! Exact prices: products in 128 bits, floors, and no sum that wraps.

/// floor(quantity x price / divisor).
#[inline]
fn floor_price(quantity: u64, price: u64, divisor: u64) -> Option<u128> {
    let product = u128::from(quantity) * u128::from(price);
    match u64::try_from(product) {
        Ok(product) => product.checked_div(divisor).map(u128::from),
        Err(_) => product.checked_div(u128::from(divisor)),
    }
}

/// Adds floor(quantity x price / divisor) of every pair to the sum. None when the divisor is 0 or the sum does not fit.
pub fn add_prices(sum: u128, pairs: impl IntoIterator<Item = (u64, u64)>, divisor: u64) -> Option<u128> {
    let mut sum = sum;
    for (quantity, price) in pairs {
        sum = sum.checked_add(floor_price(quantity, price, divisor)?)?;
    }
    Some(sum)
}
