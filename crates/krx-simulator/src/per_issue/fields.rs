//! The fields of each preset, in the order in which the guide lists them.

use krx_protocol::per_issue::Preset;

use crate::per_issue::book::{DEPTH_MAX, Level, Side};
use crate::per_issue::instrument::{Instrument, Kind};
use crate::per_issue::object::Object;

/// Digits of `trdTm`.
const TIME_DIGITS: usize = 8;

/// The market's state in a snapshot, as the guide's sample has it.
const MARKET_STATE: i64 = 1;

/// How values are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Style {
    /// Whether `trdTm` keeps its leading zero, as a sample of the guide has it: that is not JSON.
    pub(crate) leading_zeros: bool,
}

/// The names of a level's fields.
struct LevelNames {
    ask_price: &'static str,
    bid_price: &'static str,
    ask_size: &'static str,
    bid_size: &'static str,
    ask_orders: &'static str,
    bid_orders: &'static str,
}

macro_rules! level_names {
    ($($nth:literal)*) => {
        [$(LevelNames {
            ask_price: concat!("askStep", $nth, "BstordPrc"),
            bid_price: concat!("bidStep", $nth, "BstordPrc"),
            ask_size: concat!("askStep", $nth, "BstordRqty"),
            bid_size: concat!("bidStep", $nth, "BstordRqty"),
            ask_orders: concat!("askStep", $nth, "BstordCnt"),
            bid_orders: concat!("bidStep", $nth, "BstordCnt"),
        }),*]
    };
}

const LEVELS: [LevelNames; DEPTH_MAX] = level_names!(1 2 3 4 5 6 7 8 9 10);

/// An item that a `change` may ask for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item {
    name: &'static str,
    unit: Unit,
    pub(crate) value: fn(&Instrument) -> i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Number,
    Price,
    Time,
}

/// The items that are known, by the names that `tick10` and `quote` give them.
const ITEMS: [Item; 16] = {
    use Unit::{Number, Price, Time};
    const fn item(name: &'static str, unit: Unit, value: fn(&Instrument) -> i64) -> Item {
        Item { name, unit, value }
    }
    [
        item("trdPrc", Price, |of| of.price),
        item("trdvol", Number, |of| i64::from(of.volume)),
        item("trdTm", Time, |of| i64::from(of.trade_time)),
        item("accTrdvol", Number, |of| count(of.acc_volume)),
        item("accTrdval", Number, |of| count(of.acc_value)),
        item("opnprc", Price, |of| of.open),
        item("hgprc", Price, |of| of.high),
        item("lwprc", Price, |of| of.low),
        item("cmpprevddPrc", Price, Instrument::change),
        item("cmpprevddTpCd", Number, Instrument::change_kind),
        item("lstAskbidTpCd", Number, |of| of.side as i64),
        item("askStep1BstordPrc", Price, |of| best(of.book.asks()).price),
        item("bidStep1BstordPrc", Price, |of| best(of.book.bids()).price),
        item("askStep1BstordRqty", Number, |of| {
            i64::from(best(of.book.asks()).size)
        }),
        item("bidStep1BstordRqty", Number, |of| {
            i64::from(best(of.book.bids()).size)
        }),
        item("askordTotRqty", Number, |of| count(of.book.asks().total_size())),
    ]
};

impl Item {
    /// The item called `name`.
    pub(crate) fn named(name: &str) -> Option<Item> {
        ITEMS.into_iter().find(|item| item.name == name)
    }
}

fn count(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn best(side: &Side) -> Level {
    side.best().unwrap_or_default()
}

/// The `params` of a push of `preset`, which is not `change`; `after_hours` says that the closing price is traded at.
pub(crate) fn params(preset: Preset, of: &Instrument, style: Style, after_hours: bool) -> String {
    let mut object = Object::with_capacity(capacity(preset));
    object.text("preset", preset.as_str());
    add(&mut object, preset, of, style, after_hours);
    object.finish()
}

/// The current state as a snapshot has it: the same fields without the preset, and the market's state.
pub(crate) fn state(preset: Preset, of: &Instrument, style: Style, after_hours: bool) -> String {
    let mut object = Object::with_capacity(capacity(preset));
    add(&mut object, preset, of, style, after_hours);
    object.integer("mkStatTpCd", MARKET_STATE);
    object.finish()
}

/// What of `items` is given, in their order, and the codes: the `params` of a `change`, or its snapshot.
pub(crate) fn changed<'a>(items: impl Iterator<Item = &'a Item>, of: &Instrument, style: Style) -> String {
    let mut object = Object::with_capacity(256);
    object.text("isuSrtCd", &of.code);
    object.text("isuCd", &of.standard_code);
    for item in items {
        let value = (item.value)(of);
        match item.unit {
            Unit::Number => object.integer(item.name, value),
            Unit::Price => price(&mut object, item.name, value, of),
            Unit::Time => time(
                &mut object,
                item.name,
                u32::try_from(value).unwrap_or_default(),
                style,
            ),
        }
    }
    object.finish()
}

/// Room for an ordinary push without growing.
fn capacity(preset: Preset) -> usize {
    match preset {
        Preset::Quote10 => 1_408,
        Preset::Tick10 => 448,
        Preset::Tick | Preset::Quote | Preset::Index | Preset::Change => 256,
    }
}

fn add(object: &mut Object, preset: Preset, of: &Instrument, style: Style, after_hours: bool) {
    object.text("isuSrtCd", &of.code);
    match (preset, of.kind) {
        (Preset::Tick, _) => {
            price(object, "trdPrc", of.price, of);
            object.integer("trdvol", of.volume);
            time(object, "trdTm", of.trade_time, style);
            accumulated(object, of);
        }
        (Preset::Quote, _) => quote(object, of),
        (Preset::Tick10, Kind::Stock) => stock_tick(object, of, style),
        (Preset::Tick10, _) => derivative_tick(object, of, style),
        (Preset::Quote10, Kind::Stock) => stock_book(object, of, after_hours),
        (Preset::Quote10, _) => derivative_book(object, of),
        // These are no presets of an instrument, or have fields of their own.
        (Preset::Index | Preset::Change, _) => {}
    }
}

fn price(object: &mut Object, name: &str, value: i64, of: &Instrument) {
    match of.kind {
        Kind::Stock => object.integer(name, value),
        Kind::Future | Kind::Spread | Kind::Option => object.decimal(name, value),
    }
}

/// Adds a time as a number: its leading zero is lost, unless the style keeps it.
pub(crate) fn time(object: &mut Object, name: &str, digits: u32, style: Style) {
    if style.leading_zeros && digits > 0 {
        object.padded(name, digits, TIME_DIGITS);
    } else {
        object.integer(name, digits);
    }
}

fn accumulated(object: &mut Object, of: &Instrument) {
    object.integer("accTrdvol", of.acc_volume);
    object.integer("accTrdval", of.acc_value);
}

fn quote(object: &mut Object, of: &Instrument) {
    let (ask, bid) = (best(of.book.asks()), best(of.book.bids()));
    object.integer("accTrdvol", of.acc_volume);
    price(object, LEVELS[0].ask_price, ask.price, of);
    price(object, LEVELS[0].bid_price, bid.price, of);
    object.integer(LEVELS[0].ask_size, ask.size);
    object.integer(LEVELS[0].bid_size, bid.size);
}

fn stock_tick(object: &mut Object, of: &Instrument, style: Style) {
    object.integer("cmpprevddTpCd", of.change_kind());
    object.integer("cmpprevddPrc", of.change());
    object.integer("opnprc", of.open);
    object.integer("hgprc", of.high);
    object.integer("lwprc", of.low);
    object.integer("trdPrc", of.price);
    object.integer("trdvol", of.volume);
    accumulated(object, of);
    object.integer("lstAskbidTpCd", of.side as u8);
    time(object, "trdTm", of.trade_time, style);
    if of.best_moved {
        let (ask, bid) = of.book.best_prices();
        object.integer("askordPrc_1", ask);
        object.integer("bidordPrc_1", bid);
    }
}

fn derivative_tick(object: &mut Object, of: &Instrument, style: Style) {
    if of.kind == Kind::Option {
        object.text("isuCd", &of.standard_code);
    }
    object.decimal("trdPrc", of.price);
    object.decimal("opnprc", of.open);
    object.decimal("hgprc", of.high);
    object.decimal("lwprc", of.low);
    object.integer("trdvol", of.volume);
    accumulated(object, of);
    object.integer("negoBlkAccTrdvol", of.block_volume);
    // A sample of an option spells it otherwise.
    let side = match of.kind {
        Kind::Option => "lstTrdTpCd",
        Kind::Stock | Kind::Future | Kind::Spread => "lstAskbidTpCd",
    };
    object.integer(side, of.side as u8);
    time(object, "trdTm", of.trade_time, style);
    object.decimal("realtmUplmtprc", of.ladder.highest());
    object.decimal("realtmLwlmtprc", of.ladder.lowest());
    if matches!(of.kind, Kind::Future | Kind::Spread) {
        // Only a spread has legs: the far one is dearer by its price.
        let near = if of.kind == Kind::Spread {
            SPREAD_NEAR_LEG
        } else {
            0
        };
        let far = if of.kind == Kind::Spread {
            near + of.price
        } else {
            0
        };
        object.decimal("fstmmAgndaContrtPrc", near);
        object.decimal("futrmmAgndaContrtPrc", far);
    }
}

/// The price of a spread's near leg, in hundredths of a point.
const SPREAD_NEAR_LEG: i64 = 30_875;

fn stock_book(object: &mut Object, of: &Instrument, after_hours: bool) {
    let (asks, bids) = (of.book.asks(), of.book.bids());
    object.integer("accTrdvol", of.acc_volume);
    for (nth, names) in LEVELS.iter().enumerate() {
        let (ask, bid) = (level(asks, nth), level(bids, nth));
        object.integer(names.ask_price, ask.price);
        object.integer(names.bid_price, bid.price);
        object.integer(names.ask_size, ask.size);
        object.integer(names.bid_size, bid.size);
    }
    let totals = (asks.total_size(), bids.total_size());
    object.integer("askordTotRqty", totals.0);
    object.integer("bidordTotRqty", totals.1);
    let waiting = if after_hours { totals } else { (0, 0) };
    object.integer("pstoffhrAskTotOrdRqty", waiting.0);
    object.integer("pstoffhrBidTotOrdRqty", waiting.1);
    object.integer("deemTrdPrc", of.expected_price);
    object.integer("deemTrdvol", of.expected_volume);
    let expected = if of.expected_volume > 0 {
        of.acc_volume + of.expected_volume
    } else {
        0
    };
    object.integer("deemAccTrdvol", expected);
}

fn derivative_book(object: &mut Object, of: &Instrument) {
    let (asks, bids) = (of.book.asks(), of.book.bids());
    for (nth, names) in LEVELS.iter().enumerate().take(5) {
        let (ask, bid) = (level(asks, nth), level(bids, nth));
        object.decimal(names.ask_price, ask.price);
        object.decimal(names.bid_price, bid.price);
        object.integer(names.ask_size, ask.size);
        object.integer(names.bid_size, bid.size);
        object.integer(names.ask_orders, ask.orders);
        object.integer(names.bid_orders, bid.orders);
    }
    object.integer("askTotOrdRqty", asks.total_size());
    object.integer("bidTotOrdRqty", bids.total_size());
    object.integer("askValidOrdCnt", asks.total_orders());
    object.integer("bidValidOrdCnt", bids.total_orders());
    object.integer("ordAcptTm", of.order_time);
    object.decimal("deemTrdPrc", of.expected_price);
}

/// A level, all zero where there is none.
fn level(side: &Side, nth: usize) -> Level {
    side.levels().get(nth).copied().unwrap_or_default()
}
