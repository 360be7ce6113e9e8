//! The columns of each per-issue dataset, and the keys of docs/protocol.md that fill them.

use std::collections::HashMap;
use std::sync::LazyLock;

/// How a value becomes what is in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// A whole number.
    Integer,
    /// The double nearest to a decimal number.
    Decimal,
    /// The digits of a time.
    Digits,
    /// Milliseconds: the date, and the time whose digits the next column has.
    Clock,
    /// One of these words, by its number from 1.
    Word(&'static [&'static str]),
    /// The preset's word.
    Preset,
    /// The item's name, or its text.
    Text,
}

/// A column beside those that all datasets have.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) how: How,
}

impl Column {
    /// Whether it has instants.
    pub(super) fn is_clock(&self) -> bool {
        self.how == How::Clock
    }
}

/// A dataset.
#[derive(Debug)]
pub(super) struct Dataset {
    pub(super) name: &'static str,
    pub(super) columns: Vec<Column>,
    /// Which column a key fills.
    pub(super) keys: HashMap<String, usize>,
}

/// The name of the dataset with what is none of these.
pub(super) const QUARANTINE: &str = "quarantine";

/// The dataset whose files say which frames are covered.
pub(super) const PRIMARY: &str = "ticks";

/// All datasets.
pub(super) static DATASETS: LazyLock<[Dataset; 8]> = LazyLock::new(|| {
    [
        ticks(),
        quotes("quotes", How::Integer),
        books(),
        derivative_ticks(),
        quotes("derivative_quotes", How::Decimal),
        derivative_books(),
        indices(),
        dataset("changes", &[("field", "", How::Text), ("value", "", How::Text)]),
    ]
});

/// The names of the per-issue datasets, apart from `quarantine`.
pub fn dataset_names() -> impl Iterator<Item = &'static str> {
    DATASETS.iter().map(|dataset| dataset.name)
}

/// The place in [`DATASETS`] of what is pushed for a preset.
pub(super) fn dataset_of(preset: &str, is_derivative: bool) -> Option<usize> {
    let name = match (preset, is_derivative) {
        ("tick" | "tick10", false) => "ticks",
        ("quote", false) => "quotes",
        ("quote10", false) => "books",
        ("tick" | "tick10", true) => "derivative_ticks",
        ("quote", true) => "derivative_quotes",
        ("quote10", true) => "derivative_books",
        ("index", _) => "indices",
        ("change", _) => "changes",
        _ => return None,
    };
    DATASETS.iter().position(|dataset| dataset.name == name)
}

const CHANGE_KINDS: &[&str] = &[
    "upper_limit",
    "up",
    "flat",
    "lower_limit",
    "down",
    "quoted_upper_limit",
    "quoted_up",
    "quoted_lower_limit",
    "quoted_down",
];

const SIDES: &[&str] = &["sell", "buy"];

/// A dataset of columns, each with its keys, separated by blanks.
fn dataset(name: &'static str, columns: &[(&str, &str, How)]) -> Dataset {
    let mut keys = HashMap::new();
    for (place, (_, sources, _)) in columns.iter().enumerate() {
        for key in sources.split_whitespace() {
            keys.insert(key.to_owned(), place);
        }
    }
    let columns = columns.iter().map(|(name, _, how)| Column {
        name: (*name).to_owned(),
        how: *how,
    });
    Dataset {
        name,
        columns: columns.collect(),
        keys,
    }
}

fn ticks() -> Dataset {
    use How::{Clock, Digits, Integer, Preset, Word};
    dataset(
        "ticks",
        &[
            ("preset", "", Preset),
            ("trade_ts", "", Clock),
            ("trade_time", "trdTm", Digits),
            ("price", "trdPrc", Integer),
            ("volume", "trdvol trdVol", Integer),
            ("acc_volume", "accTrdvol", Integer),
            ("acc_value", "accTrdval", Integer),
            ("open", "opnprc", Integer),
            ("high", "hgprc", Integer),
            ("low", "lwprc", Integer),
            ("change", "cmpprevddPrc", Integer),
            ("change_kind", "cmpprevddTpCd", Word(CHANGE_KINDS)),
            ("side", "lstAskbidTpCd lstTrdTpCd", Word(SIDES)),
            ("ask_price", "askordPrc_1", Integer),
            ("bid_price", "bidordPrc_1", Integer),
        ],
    )
}

fn derivative_ticks() -> Dataset {
    use How::{Clock, Decimal, Digits, Integer, Preset, Word};
    dataset(
        "derivative_ticks",
        &[
            ("preset", "", Preset),
            ("trade_ts", "", Clock),
            ("trade_time", "trdTm", Digits),
            ("price", "trdPrc", Decimal),
            ("volume", "trdvol trdVol", Integer),
            ("acc_volume", "accTrdvol", Integer),
            ("acc_value", "accTrdval", Integer),
            ("open", "opnprc", Decimal),
            ("high", "hgprc", Decimal),
            ("low", "lwprc", Decimal),
            ("change", "cmpprevddPrc", Decimal),
            ("change_kind", "cmpprevddTpCd", Word(CHANGE_KINDS)),
            ("side", "lstAskbidTpCd lstTrdTpCd", Word(SIDES)),
            ("ask_price", "askordPrc_1", Decimal),
            ("bid_price", "bidordPrc_1", Decimal),
            ("block_acc_volume", "negoBlkAccTrdvol", Integer),
            ("upper_limit_price", "realtmUplmtprc", Decimal),
            ("lower_limit_price", "realtmLwlmtprc", Decimal),
            ("near_leg_price", "fstmmAgndaContrtPrc", Decimal),
            ("far_leg_price", "futrmmAgndaContrtPrc", Decimal),
        ],
    )
}

fn quotes(name: &'static str, price: How) -> Dataset {
    dataset(
        name,
        &[
            ("acc_volume", "accTrdvol", How::Integer),
            ("ask_price", "askStep1BstordPrc", price),
            ("ask_size", "askStep1BstordRqty", How::Integer),
            ("bid_price", "bidStep1BstordPrc", price),
            ("bid_size", "bidStep1BstordRqty", How::Integer),
        ],
    )
}

fn indices() -> Dataset {
    dataset(
        "indices",
        &[
            ("trade_ts", "", How::Clock),
            ("trade_time", "trdTm", How::Digits),
            ("value", "trdPrc", How::Decimal),
            ("change", "cmpprevddPrc", How::Decimal),
            ("change_kind", "cmpprevddTpCd", How::Word(CHANGE_KINDS)),
            ("acc_volume", "accTrdvol", How::Integer),
            ("acc_value", "accTrdval", How::Integer),
        ],
    )
}

fn books() -> Dataset {
    let mut book = dataset("books", &[("acc_volume", "accTrdvol", How::Integer)]);
    add_levels(&mut book, 10, How::Integer, &[("size", "Rqty")]);
    for (name, key) in [
        ("ask_total_size", "askordTotRqty"),
        ("bid_total_size", "bidordTotRqty"),
        ("after_hours_ask_total_size", "pstoffhrAskTotOrdRqty"),
        ("after_hours_bid_total_size", "pstoffhrBidTotOrdRqty"),
        ("expected_price", "deemTrdPrc"),
        ("expected_volume", "deemTrdvol"),
        ("expected_acc_volume", "deemAccTrdvol"),
    ] {
        book.add(name, key, How::Integer);
    }
    book
}

fn derivative_books() -> Dataset {
    let mut book = dataset("derivative_books", &[]);
    add_levels(&mut book, 5, How::Decimal, &[("size", "Rqty"), ("orders", "Cnt")]);
    for (name, key, how) in [
        ("ask_total_size", "askTotOrdRqty", How::Integer),
        ("bid_total_size", "bidTotOrdRqty", How::Integer),
        ("ask_total_orders", "askValidOrdCnt", How::Integer),
        ("bid_total_orders", "bidValidOrdCnt", How::Integer),
        ("order_ts", "", How::Clock),
        ("order_time", "ordAcptTm", How::Digits),
        ("expected_price", "deemTrdPrc", How::Decimal),
    ] {
        book.add(name, key, how);
    }
    book
}

/// The levels' prices, and the other columns of a level with the ends of their keys.
fn add_levels(book: &mut Dataset, levels: usize, price: How, others: &[(&str, &str)]) {
    for side in ["ask", "bid"] {
        for level in 1..=levels {
            let key = format!("{side}Step{level}Bstord");
            book.add(&format!("{side}_price_{level:02}"), &format!("{key}Prc"), price);
            for (name, end) in others {
                book.add(
                    &format!("{side}_{name}_{level:02}"),
                    &format!("{key}{end}"),
                    How::Integer,
                );
            }
        }
    }
}

impl Dataset {
    fn add(&mut self, name: &str, key: &str, how: How) {
        if !key.is_empty() {
            self.keys.insert(key.to_owned(), self.columns.len());
        }
        self.columns.push(Column {
            name: name.to_owned(),
            how,
        });
    }
}
