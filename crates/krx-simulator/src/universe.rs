//! Every listed issue of both markets: read from a file, or made up by rule.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use krx_exchange::Market;

use crate::dice::Dice;
use crate::error::IssuesError;
use crate::issue::{Issue, IssueCode};
use crate::price::{PriceGrid, Won};

/// The most issues a file may list: some fifteen times the real number, so that a wrong file is refused before it fills
/// the memory.
const ISSUES_MAX: usize = 65_536;

/// The base price in won of an issue for which the file gives none.
const BASE_PRICE_DEFAULT: Won = 10_000;

/// The highest base price in won that is accepted; far above any ever seen, and 30 % more still fits.
const BASE_PRICE_MAX: Won = 100_000_000;

/// The previous day's volume that is assumed when a file gives none.
const PREV_VOLUME_DEFAULT: u64 = 40_000;

/// All issues of both markets.
#[derive(Debug, Clone)]
pub struct Universe {
    kospi: Arc<[Issue]>,
    kosdaq: Arc<[Issue]>,
}

impl Universe {
    /// About 4,400 issues, always the same ones, with codes of every real form, made up by rule.
    #[must_use]
    pub fn synthetic() -> Universe {
        let issues = Market::ALL.into_iter().flat_map(synthetic_market).collect();
        Universe::split(issues)
    }

    /// The issues listed in the CSV file at `path`.
    ///
    /// Columns are found by their names in the header: `code` and `market` are required; `base_price` (won),
    /// `prev_volume` (shares; the activity grows with its square root), `halted` (`Y`/`N`) and `etp` (any text: the
    /// price grid of funds and notes) are optional. Others are ignored.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, a line is invalid, or a market has no issue that trades.
    pub fn load(path: &Path) -> Result<Universe, IssuesError> {
        let file = File::open(path).map_err(|source| IssuesError::open(path, source))?;
        Universe::read(file, path)
    }

    fn read(source: impl Read, path: &Path) -> Result<Universe, IssuesError> {
        let mut reader = csv::Reader::from_reader(io::BufReader::new(source));
        let columns = Columns::find(
            reader
                .headers()
                .map_err(|source| IssuesError::csv(path, source))?,
            path,
        )?;
        let mut issues: Vec<Issue> = Vec::new();
        let mut seen = HashSet::new();
        for record in reader.records() {
            let record = record.map_err(|source| IssuesError::csv(path, source))?;
            let line = record.position().map_or(0, csv::Position::line);
            let bad = |problem: String| IssuesError::line(path, line, problem);
            if issues.len() == ISSUES_MAX {
                return Err(bad(format!("more than {ISSUES_MAX} issues")));
            }
            let issue = columns.issue(&record).map_err(bad)?;
            if !seen.insert(issue.code.clone()) {
                return Err(bad(format!("code {} is listed twice", issue.code.as_str())));
            }
            issues.push(issue);
        }
        let universe = Universe::split(issues);
        for market in Market::ALL {
            if !universe.issues(market).is_empty() && universe.weight(market) == 0 {
                return Err(IssuesError::empty(
                    path,
                    format!("every issue of {market} is halted"),
                ));
            }
        }
        if Market::ALL
            .into_iter()
            .all(|market| universe.issues(market).is_empty())
        {
            return Err(IssuesError::empty(path, "it lists no issue".to_owned()));
        }
        Ok(universe)
    }

    fn split(issues: Vec<Issue>) -> Universe {
        let (kospi, kosdaq): (Vec<Issue>, Vec<Issue>) = issues
            .into_iter()
            .partition(|issue| issue.market == Market::Kospi);
        Universe {
            kospi: kospi.into(),
            kosdaq: kosdaq.into(),
        }
    }

    /// The issues of `market`, in the order of the file.
    #[must_use]
    pub fn issues(&self, market: Market) -> &Arc<[Issue]> {
        match market {
            Market::Kospi => &self.kospi,
            Market::Kosdaq => &self.kosdaq,
        }
    }

    /// The issues of both markets that trade most, the busiest first; fewer if there are no more that trade.
    #[must_use]
    pub fn busiest(&self, count: usize) -> Vec<&Issue> {
        let all = self.kospi.iter().chain(self.kosdaq.iter());
        let mut trading: Vec<&Issue> = all.filter(|issue| !issue.halted).collect();
        trading.sort_by_key(|issue| std::cmp::Reverse(issue.weight));
        trading.truncate(count);
        trading
    }

    /// The share of `quantity` that falls to `market`, divided between the markets by activity.
    #[must_use]
    pub fn share(&self, market: Market, quantity: u64) -> u64 {
        let kospi_weight = u128::from(self.weight(Market::Kospi));
        let total = (kospi_weight + u128::from(self.weight(Market::Kosdaq))).max(1);
        let kospi = u64::try_from(u128::from(quantity) * kospi_weight / total).unwrap_or(quantity);
        match market {
            Market::Kospi => kospi,
            Market::Kosdaq => quantity - kospi,
        }
    }

    fn weight(&self, market: Market) -> u64 {
        self.issues(market)
            .iter()
            .filter(|issue| !issue.halted)
            .map(|issue| u64::from(issue.weight))
            .sum()
    }
}

/// The position of each column in a line.
struct Columns {
    code: usize,
    market: usize,
    base_price: Option<usize>,
    prev_volume: Option<usize>,
    halted: Option<usize>,
    etp: Option<usize>,
}

impl Columns {
    fn find(header: &csv::StringRecord, path: &Path) -> Result<Columns, IssuesError> {
        let find = |name: &str| {
            header
                .iter()
                .position(|column| column.trim_start_matches('\u{feff}') == name)
        };
        let need = |name: &'static str| {
            find(name).ok_or_else(|| IssuesError::Column {
                path: PathBuf::from(path),
                column: name,
            })
        };
        Ok(Columns {
            code: need("code")?,
            market: need("market")?,
            base_price: find("base_price"),
            prev_volume: find("prev_volume"),
            halted: find("halted"),
            etp: find("etp"),
        })
    }

    fn issue(&self, record: &csv::StringRecord) -> Result<Issue, String> {
        let field = |index: usize| record.get(index).unwrap_or_default().trim();
        let optional = |index: Option<usize>| index.map(field).filter(|text| !text.is_empty());
        let number = |name: &str, index: Option<usize>| match optional(index) {
            None => Ok(None),
            Some(text) => text
                .parse::<u64>()
                .map(Some)
                .map_err(|_| format!("{name} {text:?} is not a whole number")),
        };
        let code = IssueCode::parse(field(self.code)).ok_or_else(|| {
            format!(
                "code {:?} is not 1 to 12 capital letters and digits",
                field(self.code)
            )
        })?;
        let market = Market::named(field(self.market))
            .ok_or_else(|| format!("market {:?} is neither KOSPI nor KOSDAQ", field(self.market)))?;
        let base_price = match number("base_price", self.base_price)? {
            // Issues that have never traded are listed with 0.
            None | Some(0) => BASE_PRICE_DEFAULT,
            Some(price) => Won::try_from(price)
                .ok()
                .filter(|&price| price <= BASE_PRICE_MAX)
                .ok_or_else(|| format!("base_price {price} is above {BASE_PRICE_MAX}"))?,
        };
        let prev_volume = number("prev_volume", self.prev_volume)?.unwrap_or(PREV_VOLUME_DEFAULT);
        let halted = match optional(self.halted) {
            None | Some("N" | "n" | "0" | "false") => false,
            Some("Y" | "y" | "1" | "true") => true,
            Some(other) => return Err(format!("halted {other:?} is neither Y nor N")),
        };
        let grid = match optional(self.etp) {
            Some(_) => PriceGrid::Fund,
            None if code.as_str().starts_with('Q') => PriceGrid::Fund,
            None => PriceGrid::Stock,
        };
        let weight = u32::try_from(prev_volume.isqrt()).unwrap_or(u32::MAX - 1) + 1;
        Ok(Issue {
            code,
            market,
            base_price,
            weight,
            halted,
            grid,
        })
    }
}

/// A kind of issue whose codes are built by one rule.
#[derive(Debug, Clone, Copy)]
enum Family {
    /// `000210`: common stocks, and funds listed before letters came into use.
    Digits,
    /// `000215`: preferred stocks.
    Preferred,
    /// `00021K`: preferred stocks listed since 2013.
    PreferredLetter,
    /// `0004V0`: issues listed since 2024.
    Letter,
    /// `Q500061`: exchange-traded notes.
    Note,
    /// `F70100030`: funds.
    Fund,
    /// `F75601BA2`: fund classes.
    FundClass,
    /// `J0527101G`: rights.
    Right,
}

impl Family {
    /// The code of this family's issue number `index`; `market` keeps the two markets apart.
    fn code(self, market: Market, index: u32) -> String {
        const LETTERS: &[u8; 16] = b"ACDFGHJKLMNPRSTV";
        let letter = |index: u32| char::from(LETTERS[index as usize % LETTERS.len()]);
        // KOSPI takes the even positions of every family, KOSDAQ the odd ones.
        let place = 2 * index + u32::from(market == Market::Kosdaq);
        let company = 21 + 25 * place;
        match self {
            Family::Digits => format!("{company:05}0"),
            Family::Preferred => format!("{company:05}5"),
            Family::PreferredLetter => format!("{company:05}K"),
            Family::Letter => format!("{:04}{}0", 4 + 13 * place, letter(place / 2)),
            Family::Note => format!("Q5{:05}", 61 + 107 * place),
            Family::Fund => format!("F{:08}", 70_100_030 + 1_301 * place),
            Family::FundClass => format!(
                "F{:05}B{}{}",
                75_601 + 17 * place,
                letter(place / 2),
                1 + index % 8
            ),
            Family::Right => format!("J{:05}{:02}G", 5_271 + 611 * place, 1 + index % 3),
        }
    }

    /// How many issues of this family each market has: roughly as listed in 2026.
    fn count(self, market: Market) -> u32 {
        match (self, market) {
            (Family::Digits, Market::Kospi) => 1_670,
            (Family::Digits, Market::Kosdaq) => 1_770,
            (Family::Preferred, Market::Kospi) => 110,
            (Family::PreferredLetter, Market::Kospi) => 22,
            (Family::PreferredLetter, Market::Kosdaq) => 1,
            (Family::Letter, Market::Kospi) => 290,
            (Family::Letter, Market::Kosdaq) => 50,
            (Family::Note, Market::Kospi) => 386,
            (Family::Fund, Market::Kospi) => 66,
            (Family::FundClass, Market::Kospi) => 10,
            (Family::Right, Market::Kospi) => 20,
            (Family::Right, Market::Kosdaq) => 5,
            (Family::Preferred | Family::Note | Family::Fund | Family::FundClass, Market::Kosdaq) => 0,
        }
    }

    const ALL: [Family; 8] = [
        Family::Digits,
        Family::Preferred,
        Family::PreferredLetter,
        Family::Letter,
        Family::Note,
        Family::Fund,
        Family::FundClass,
        Family::Right,
    ];
}

fn synthetic_market(market: Market) -> Vec<Issue> {
    let mut dice = Dice::new(0x6b72_7821, u64::from(market == Market::Kosdaq));
    let mut issues: Vec<Issue> = Vec::new();
    for family in Family::ALL {
        for index in 0..family.count(market) {
            // Every third KOSPI code made only of digits is a fund's, as about 850 are.
            let fund = matches!(family, Family::Note | Family::Letter)
                || (matches!(family, Family::Digits) && market == Market::Kospi && index % 2 == 1);
            let grid = if fund { PriceGrid::Fund } else { PriceGrid::Stock };
            // 500 to 256,000 won, with as many below 11,000 as above.
            let octave = 500_u32 << dice.below(9);
            issues.push(Issue {
                code: IssueCode(family.code(market, index)),
                market,
                base_price: grid.round_down(octave + dice.below(octave)),
                weight: 0,
                halted: dice.below(37) == 0,
                grid,
            });
        }
    }
    rank(&mut issues, &mut dice);
    issues
}

/// Assigns the weights: the first rank trades as much as hundreds of the last ones together.
fn rank(issues: &mut [Issue], dice: &mut Dice) {
    let count = u32::try_from(issues.len()).unwrap_or(u32::MAX);
    let mut ranks: Vec<u32> = (0..count).collect();
    for left in (1..count).rev() {
        ranks.swap(left as usize, dice.below(left + 1) as usize);
    }
    for (issue, rank) in issues.iter_mut().zip(ranks) {
        let heavy = 20_000 * 1_000 / (u64::from(rank + 1) * 1_000_000).isqrt();
        let tail = u64::from(count - rank) * heavy / u64::from(count);
        issue.weight = u32::try_from(tail).unwrap_or(u32::MAX - 1) + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Universe, IssuesError> {
        Universe::read(text.as_bytes(), Path::new("issues.csv"))
    }

    #[test]
    fn the_synthetic_universe_has_every_shape_of_code_once() {
        let universe = Universe::synthetic();
        let issues: Vec<&Issue> = Market::ALL
            .iter()
            .flat_map(|&market| universe.issues(market).iter())
            .collect();
        assert!((4_300..4_500).contains(&issues.len()), "{}", issues.len());
        let codes: HashSet<&str> = issues.iter().map(|issue| issue.code.as_str()).collect();
        assert_eq!(codes.len(), issues.len());
        assert!(codes.iter().all(|code| IssueCode::parse(code).is_some()));
        let shapes: HashSet<String> = issues.iter().map(|issue| issue.code.shape()).collect();
        for shape in [
            "999999",
            "99999A",
            "9999A9",
            "A999999",
            "A99999999",
            "A99999AA9",
            "A9999999A",
        ] {
            assert!(shapes.contains(shape), "{shape} of {shapes:?}");
        }
        assert!(issues.iter().any(|issue| issue.halted));
        let busiest = universe.busiest(100);
        assert!(busiest.is_sorted_by(|one, next| one.weight >= next.weight));
        let markets: HashSet<Market> = busiest.iter().map(|issue| issue.market).collect();
        assert!(busiest.len() == 100 && markets.len() == 2);
    }

    #[test]
    fn columns_are_found_by_name() {
        let universe = read(
            "name,market,code,prev_volume,base_price,halted\n\
             가나다,KOSPI,000210,1000000,81000,N\n라마바,KOSDAQ,0004V0,,0,Y\n사아자,KOSDAQ,00088K,0,,\n",
        )
        .unwrap();
        let [issue] = &universe.issues(Market::Kospi)[..] else {
            panic!("one issue")
        };
        assert_eq!(
            (issue.code.as_str(), issue.base_price, issue.weight),
            ("000210", 81_000, 1_001)
        );
        let [halted, silent] = &universe.issues(Market::Kosdaq)[..] else {
            panic!("two issues")
        };
        assert!(halted.halted && halted.base_price == BASE_PRICE_DEFAULT);
        assert_eq!((silent.halted, silent.weight), (false, 1));
    }

    #[test]
    fn shares_of_both_markets_make_the_whole() {
        let universe = Universe::synthetic();
        let shares = Market::ALL.map(|market| universe.share(market, 1_000_001));
        assert_eq!(shares[0] + shares[1], 1_000_001);
        assert!(shares.iter().all(|&share| share > 300_000), "{shares:?}");
    }

    #[test]
    fn errors_name_the_line_and_what_is_wrong() {
        for (text, part) in [
            ("code\n000210\n", "no column \"market\""),
            ("code,market\n000210,NYSE\n", "line 2: market \"NYSE\""),
            ("code,market\n00 210,KOSPI\n", "line 2: code \"00 210\""),
            (
                "code,market\n000210,KOSPI\n000210,KOSPI\n",
                "line 3: code 000210 is listed twice",
            ),
            (
                "code,market,base_price\n000210,KOSPI,1.5\n",
                "line 2: base_price \"1.5\"",
            ),
            (
                "code,market,halted\n000210,KOSPI,maybe\n",
                "line 2: halted \"maybe\"",
            ),
            (
                "code,market,halted\n000210,KOSPI,Y\n",
                "every issue of KOSPI is halted",
            ),
            ("code,market\n", "lists no issue"),
            ("code,market\n000210\n", "reading the issues file"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(
                error.contains(part) && error.contains("issues.csv"),
                "{text:?}: {error}"
            );
        }
    }
}
