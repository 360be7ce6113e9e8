//! Sector indices, computed of the trades.

use krx_protocol::per_issue::Preset;

use crate::per_issue::fields::{Style, time};
use crate::per_issue::instrument::change_kind;
use crate::per_issue::object::Object;

/// An index: the weighted prices of its members, in proportion to those at the start of the day.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) code: String,
    /// Its value at the start of the day, in hundredths of a point.
    base_value: i64,
    /// The sum of the members' weighted prices, now and at the start.
    sum: u128,
    base_sum: u128,
    /// Quantity and value, in won, of the members' trades.
    acc_volume: u64,
    acc_value: u64,
}

impl Index {
    /// An index without members that starts at `base_value` hundredths of a point.
    pub(crate) fn new(code: String, base_value: i64) -> Index {
        Index {
            code,
            base_value,
            sum: 0,
            base_sum: 0,
            acc_volume: 0,
            acc_value: 0,
        }
    }

    /// Adds a member at its base price.
    pub(crate) fn add(&mut self, weight: u32, price: i64) {
        self.base_sum += weighted(weight, price);
        self.sum = self.base_sum;
    }

    /// A member is traded: its price was `before`, and is `price` now.
    pub(crate) fn traded(&mut self, weight: u32, before: i64, price: i64, volume: u32) {
        self.sum = self.sum.saturating_sub(weighted(weight, before)) + weighted(weight, price);
        self.acc_volume += u64::from(volume);
        let value = price.unsigned_abs().saturating_mul(u64::from(volume));
        self.acc_value = self.acc_value.saturating_add(value);
    }

    /// Its value in hundredths of a point. Without members it never changes.
    pub(crate) fn value(&self) -> i64 {
        if self.base_sum == 0 {
            return self.base_value;
        }
        let base = u128::from(self.base_value.unsigned_abs());
        i64::try_from(base * self.sum / self.base_sum).unwrap_or(i64::MAX)
    }

    /// The `params` of its push at the time with these digits.
    pub(crate) fn params(&self, digits: u32, style: Style) -> String {
        let mut object = Object::with_capacity(256);
        object.text("preset", Preset::Index.as_str());
        self.add_to(&mut object, digits, style);
        object.finish()
    }

    /// The snapshot.
    pub(crate) fn state(&self, digits: u32, style: Style) -> String {
        let mut object = Object::with_capacity(256);
        self.add_to(&mut object, digits, style);
        object.finish()
    }

    fn add_to(&self, object: &mut Object, digits: u32, style: Style) {
        let change = self.value() - self.base_value;
        object.text("isuSrtCd", &self.code);
        time(object, "trdTm", digits, style);
        object.decimal("trdPrc", self.value());
        object.integer("cmpprevddTpCd", change_kind(change, false, false));
        object.decimal("cmpprevddPrc", change);
        object.integer("accTrdvol", self.acc_volume);
        object.integer("accTrdval", self.acc_value);
    }
}

fn weighted(weight: u32, price: i64) -> u128 {
    u128::from(weight) * u128::from(price.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_follows_its_members() {
        let mut index = Index::new("001".to_owned(), 265_031);
        index.add(3, 1_000);
        index.add(1, 7_000);
        assert_eq!(index.value(), 265_031);
        index.traded(3, 1_000, 1_100, 5);
        assert_eq!(index.value(), 265_031 * 103 / 100);
        index.traded(1, 7_000, 6_700, 2);
        assert_eq!(index.value(), 265_031);
        index.traded(3, 1_100, 1_000, 1);
        assert_eq!(
            index.params(9_000_200, Style::default()),
            concat!(
                r#"{"preset":"index","isuSrtCd":"001","trdTm":9000200,"trdPrc":2570.8,"cmpprevddTpCd":5,"#,
                r#""cmpprevddPrc":-79.51,"accTrdvol":8,"accTrdval":19900}"#
            )
        );
    }
}
