//! The bill of 176 bytes (docs/statement.md): its fields, its terms, and every figure that follows from them.

use crate::statement::Fault;

pub const BILL_BYTES: usize = 176;

const MAGIC: [u8; 4] = [0x46, 0x34, 0x53, 0x01];
const MAX_MINUTES: u32 = 71_582_788;
const MAX_FEE_BPS: u16 = 10_000;
const AMOUNT_LIMIT: u64 = 1_000_000_000_000_000_000;
const TIME_LIMIT: u64 = 1 << 53;
const END_REASONS: u8 = 8;
const CURRENCIES: u8 = 1;
/// Shortest time that is billed once a rental has run at all.
const MINIMUM_BILLED_SECONDS: u64 = 60;

/// The fields of a bill that anything is computed from.
#[derive(Clone)]
pub struct Bill {
    /// The ids of the rental and of its node, 16 bytes each, as they lie in a record too.
    pub rental_and_node: [u8; 32],
    pub node_key: [u8; 32],
    pub epoch: u32,
    pub units: u32,
    pub price_atoms_per_hour: u64,
    pub minutes: u32,
    pub fee_bps: u16,
    pub started_at: u64,
    pub ended_at: u64,
    pub end_reason: u8,
    pub currency: u8,
    pub metered_seconds: u32,
    pub billed_seconds: u32,
    pub prepaid_atoms: u64,
    pub charged_atoms: u64,
    pub fee_atoms: u64,
    pub payout_atoms: u64,
    pub refund_atoms: u64,
    pub record_count: u32,
}

/// A stated figure that is not the computed one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WrongFigure {
    pub fault: Fault,
    pub stated: u64,
    pub computed: u64,
}

impl Bill {
    /// Reads the bytes of a bill; none without its magic.
    pub fn read(bytes: &[u8; BILL_BYTES]) -> Option<Self> {
        let two = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let four = |at: usize| u32::from(two(at)) << 16 | u32::from(two(at + 2));
        let eight = |at: usize| u64::from(four(at)) << 32 | u64::from(four(at + 4));
        let key = |at: usize| core::array::from_fn(|offset| bytes[at + offset]);
        (bytes[..4] == MAGIC).then(|| Self {
            rental_and_node: key(4),
            node_key: key(36),
            epoch: four(84),
            units: four(88),
            price_atoms_per_hour: eight(92),
            minutes: four(100),
            fee_bps: two(104),
            started_at: eight(106),
            ended_at: eight(114),
            end_reason: bytes[122],
            currency: bytes[123],
            metered_seconds: four(124),
            billed_seconds: four(128),
            prepaid_atoms: eight(132),
            charged_atoms: eight(140),
            fee_atoms: eight(148),
            payout_atoms: eight(156),
            refund_atoms: eight(164),
            record_count: four(172),
        })
    }

    /// Whether the terms are such as the market writes.
    pub fn terms_hold(&self) -> bool {
        let amounts =
            [self.price_atoms_per_hour, self.prepaid_atoms, self.charged_atoms, self.fee_atoms, self.payout_atoms, self.refund_atoms];
        (self.epoch >= 1 || self.record_count == 0)
            && self.units >= 1
            && (1..=MAX_MINUTES).contains(&self.minutes)
            && self.fee_bps <= MAX_FEE_BPS
            && (1..=END_REASONS).contains(&self.end_reason)
            && (1..=CURRENCIES).contains(&self.currency)
            && amounts.iter().all(|&amount| amount < AMOUNT_LIMIT)
            && self.ended_at < TIME_LIMIT
            && self.started_at <= self.ended_at
    }

    /// The first figure that does not follow from the terms and from the toSecond of the last record (0 without any). The terms hold.
    pub fn wrong_figure(&self, last_second: u32) -> Option<WrongFigure> {
        let has_run = self.started_at != 0;
        let paid_seconds = 60 * u64::from(self.minutes);
        let ran_seconds = self.ended_at.saturating_sub(self.started_at) / 1000;
        let metered = if has_run { u64::from(last_second).min(paid_seconds).min(ran_seconds) } else { 0 };
        let stated_metered = u64::from(self.metered_seconds);
        if !has_run && self.record_count > 0 {
            return Some(WrongFigure { fault: Fault::Metered, stated: stated_metered, computed: 0 });
        }
        let billed = if has_run { metered.max(MINIMUM_BILLED_SECONDS).min(paid_seconds) } else { 0 };
        // Below 2^32 x 10^18 x 2^32, which fits.
        let price = u128::from(self.units) * u128::from(self.price_atoms_per_hour) * u128::from(billed) / 3600;
        let charged = u64::try_from(price).unwrap_or(u64::MAX).min(self.prepaid_atoms);
        let fee = (u128::from(charged) * u128::from(self.fee_bps) / 10_000) as u64;
        [
            (Fault::Metered, stated_metered, metered),
            (Fault::Billed, u64::from(self.billed_seconds), billed),
            (Fault::Charge, self.charged_atoms, charged),
            (Fault::Fee, self.fee_atoms, fee),
            (Fault::Payout, self.payout_atoms, charged.saturating_sub(fee)),
            (Fault::Refund, self.refund_atoms, self.prepaid_atoms - charged),
        ]
        .into_iter()
        .find(|(_, stated, computed)| stated != computed)
        .map(|(fault, stated, computed)| WrongFigure { fault, stated, computed })
    }
}
