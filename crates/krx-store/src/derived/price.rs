//! Prices: whole KRW of stocks, decimals of derivatives. Pure.

use std::cmp::Ordering;
use std::fmt::Debug;

use arrow_array::ArrowPrimitiveType;
use arrow_array::types::{Float64Type, Int64Type};

/// A price.
pub(super) trait Price: Copy + Debug + PartialEq + Send + Sync + 'static {
    /// The type in Arrow.
    type Arrow: ArrowPrimitiveType<Native = Self>;
    /// A sum of price × volume.
    type Sum: Copy + Debug + Default;

    /// Which of two is higher.
    fn order(&self, other: &Self) -> Ordering;

    /// Equal for equal prices only.
    fn key(self) -> i64;

    /// Adds price × volume to a sum.
    fn add(self, volume: i64, sum: &mut Self::Sum);

    /// A sum as a value of this type; `None` if it does not fit.
    fn value(sum: Self::Sum) -> Option<Self>;
}

/// A sum of integers; `None` once it exceeds 128 bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whole(Option<i128>);

impl Default for Whole {
    fn default() -> Self {
        Self(Some(0))
    }
}

impl Price for i64 {
    type Arrow = Int64Type;
    type Sum = Whole;

    fn order(&self, other: &Self) -> Ordering {
        self.cmp(other)
    }

    fn key(self) -> i64 {
        self
    }

    fn add(self, volume: i64, sum: &mut Whole) {
        let value = i128::from(self) * i128::from(volume);
        sum.0 = sum.0.and_then(|sum| sum.checked_add(value));
    }

    fn value(sum: Whole) -> Option<i64> {
        i64::try_from(sum.0?).ok()
    }
}

impl Price for f64 {
    type Arrow = Float64Type;
    type Sum = f64;

    fn order(&self, other: &Self) -> Ordering {
        self.total_cmp(other)
    }

    fn key(self) -> i64 {
        self.to_bits().cast_signed()
    }

    fn add(self, volume: i64, sum: &mut f64) {
        *sum += self * volume as f64;
    }

    fn value(sum: f64) -> Option<f64> {
        sum.is_finite().then_some(sum)
    }
}
