//! What of the floor is registered, as pushes.

use std::collections::{HashMap, VecDeque};

use krx_exchange::{Issues, Next, Push, Subscription, TimeOfDay, Welcome};
use krx_protocol::per_issue::Preset;

use crate::config::{Answers, DayConfig, PerIssueConfig};
use crate::per_issue::book::Changed;
use crate::per_issue::fields::{self, Item, Style};
use crate::per_issue::floor::{Floor, Moment, Seen};
use crate::per_issue::instrument::Instrument;
use crate::timetable::{HalfSecond, Session};

/// The issues of one day after another, as one client has registered them.
#[derive(Debug)]
pub(crate) struct FloorIssues {
    day: DayConfig,
    config: PerIssueConfig,
    repeat: bool,
    /// How many days after the first one it is.
    later: u64,
    floor: Floor,
    places: HashMap<String, Place>,
    watched: Watched,
    /// Pushes of the half second that has passed last.
    ready: VecDeque<Push>,
    /// Its beginning.
    now: HalfSecond,
}

/// Where an issue is on the floor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Instrument(u32),
    Index(u32),
}

/// Who watches what.
#[derive(Debug, Default)]
struct Watched {
    /// In the order of their turns.
    instruments: Vec<Vec<Watcher>>,
    indices: Vec<Vec<u64>>,
    places: HashMap<u64, Place>,
}

/// In which turn a trade is pushed to those who watch it: first the trade itself, then the book that it left.
fn turn(preset: Preset) -> u8 {
    match preset {
        Preset::Tick => 0,
        Preset::Tick10 => 1,
        Preset::Quote => 2,
        Preset::Quote10 => 3,
        Preset::Change | Preset::Index => 4,
    }
}

/// A registration of an instrument.
#[derive(Debug)]
struct Watcher {
    number: u64,
    preset: Preset,
    /// The items of `change`, with the values that were sent last.
    items: Vec<(Item, i64)>,
}

impl FloorIssues {
    /// At the beginning of the first day.
    pub(crate) fn new(day: DayConfig, config: PerIssueConfig, repeat: bool) -> FloorIssues {
        let floor = Floor::new(&day, 0);
        let mut places = HashMap::new();
        for (place, instrument) in (0..).zip(floor.instruments()) {
            places.insert(instrument.code.clone(), Place::Instrument(place));
        }
        for (place, index) in (0..).zip(floor.indices()) {
            places.insert(index.code.clone(), Place::Index(place));
        }
        let watched = Watched {
            instruments: floor.instruments().iter().map(|_| Vec::new()).collect(),
            indices: floor.indices().iter().map(|_| Vec::new()).collect(),
            places: HashMap::new(),
        };
        FloorIssues {
            day,
            config,
            repeat,
            later: 0,
            floor,
            places,
            watched,
            ready: VecDeque::new(),
            now: HalfSecond::DAY_START,
        }
    }

    /// The codes of all indices.
    pub(crate) fn index_codes(&self) -> Vec<String> {
        self.floor
            .indices()
            .iter()
            .map(|index| index.code.clone())
            .collect()
    }

    fn style(&self) -> Style {
        Style {
            leading_zeros: self.config.leading_zeros,
        }
    }

    fn after_hours(&self) -> bool {
        is_after_hours(self.now)
    }

    fn day_over(&mut self) -> Next<Push> {
        if !self.repeat {
            return Next::DayOver { another_after: None };
        }
        self.later += 1;
        self.floor = Floor::new(&self.day, self.later);
        self.watched.start_over(&self.floor);
        Next::DayOver {
            another_after: Some(HalfSecond::DAY_END.since(self.day.start)),
        }
    }
}

impl Issues for FloorIssues {
    fn register(&mut self, number: u64, subscription: &Subscription) -> Welcome {
        let preset = subscription.pair.preset;
        let place = match (self.places.get(&subscription.pair.code), preset) {
            (Some(place @ Place::Index(_)), Preset::Index) => *place,
            (Some(place @ Place::Instrument(_)), _) if preset != Preset::Index => *place,
            _ => return Welcome::NoSuchIssue,
        };
        match place {
            Place::Index(index) => self.watched.indices[index as usize].push(number),
            Place::Instrument(instrument) => {
                let of = &self.floor.instruments()[instrument as usize];
                // Items that nobody knows never change.
                let items = subscription.items.iter().filter_map(|name| Item::named(name));
                let watcher = Watcher {
                    number,
                    preset,
                    items: items.map(|item| (item, (item.value)(of))).collect(),
                };
                let watchers = &mut self.watched.instruments[instrument as usize];
                let place = watchers.partition_point(|other| turn(other.preset) <= turn(preset));
                watchers.insert(place, watcher);
            }
        }
        self.watched.places.insert(number, place);
        let full = matches!(preset, Preset::Tick10 | Preset::Quote10 | Preset::Index);
        match self.config.answers {
            Answers::Snapshot => Welcome::WithState,
            Answers::Mixed if full => Welcome::WithState,
            Answers::Mixed | Answers::Ok => Welcome::Plain,
        }
    }

    fn cancel(&mut self, number: u64) {
        match self.watched.places.remove(&number) {
            Some(Place::Instrument(place)) => {
                self.watched.instruments[place as usize].retain(|watcher| watcher.number != number);
            }
            Some(Place::Index(place)) => self.watched.indices[place as usize].retain(|one| *one != number),
            None => {}
        }
    }

    fn state(&self, number: u64) -> Option<String> {
        match *self.watched.places.get(&number)? {
            Place::Index(place) => {
                let moment = Moment {
                    half_second: self.now,
                    hundredths: 0,
                };
                Some(self.floor.indices()[place as usize].state(moment.digits(), self.style()))
            }
            Place::Instrument(place) => {
                let of = &self.floor.instruments()[place as usize];
                let mut watchers = self.watched.instruments[place as usize].iter();
                let watcher = watchers.find(|watcher| watcher.number == number)?;
                Some(match watcher.preset {
                    Preset::Change => {
                        let items = watcher.items.iter().map(|(item, _)| item);
                        fields::changed(items, of, self.style())
                    }
                    preset => fields::state(preset, of, self.style(), self.after_hours()),
                })
            }
        }
    }

    fn next(&mut self) -> Next<Push> {
        if let Some(push) = self.ready.pop_front() {
            return Next::Message(push);
        }
        let style = self.style();
        let start = self.day.start;
        let (watched, ready) = (&mut self.watched, &mut self.ready);
        let passed = self.floor.half_second(|floor, at, seen| {
            if at.half_second >= start {
                watched.push(floor, at, seen, style, ready);
            }
        });
        let Some(time) = passed else {
            return self.day_over();
        };
        self.now = time;
        if time < start {
            return Next::PassedOver;
        }
        self.ready.push_back(Push::Mark(time.next().into()));
        match self.ready.pop_front() {
            Some(push) => Next::Message(push),
            None => Next::PassedOver,
        }
    }
}

impl Watched {
    /// Another day begins.
    fn start_over(&mut self, floor: &Floor) {
        for (watchers, of) in self.instruments.iter_mut().zip(floor.instruments()) {
            let items = watchers.iter_mut().flat_map(|watcher| &mut watcher.items);
            items.for_each(|(item, value)| *value = (item.value)(of));
        }
    }

    /// Pushes what was seen to those who watch it.
    fn push(&mut self, floor: &Floor, at: Moment, seen: Seen, style: Style, ready: &mut VecDeque<Push>) {
        let time = time_of_day(at);
        let (place, wanted): (u32, fn(Preset, Changed) -> bool) = match seen {
            Seen::Index(place) => {
                for number in &self.indices[place as usize] {
                    ready.push_back(Push::Of {
                        registration: *number,
                        at: time,
                        params: floor.indices()[place as usize].params(at.digits(), style),
                    });
                }
                return;
            }
            Seen::Book(place, _) => (place, of_book),
            Seen::Trade(place, _) => (place, of_trade),
            Seen::Print(place) => (place, of_print),
        };
        let changed = match seen {
            Seen::Book(_, changed) | Seen::Trade(_, changed) => changed,
            Seen::Print(_) | Seen::Index(_) => Changed::Nothing,
        };
        let of = &floor.instruments()[place as usize];
        let after_hours = is_after_hours(at.half_second);
        for watcher in &mut self.instruments[place as usize] {
            if !wanted(watcher.preset, changed) {
                continue;
            }
            let params = match watcher.preset {
                Preset::Change => match watcher.changes(of, style) {
                    Some(params) => params,
                    None => continue,
                },
                preset => fields::params(preset, of, style, after_hours),
            };
            ready.push_back(Push::Of {
                registration: watcher.number,
                at: time,
                params,
            });
        }
    }
}

impl Watcher {
    /// The items of a `change` that have changed since they were last sent; `None` if none have.
    fn changes(&mut self, of: &Instrument, style: Style) -> Option<String> {
        let mut changed = Vec::new();
        for (item, last) in &mut self.items {
            let value = (item.value)(of);
            if value != *last {
                *last = value;
                changed.push(*item);
            }
        }
        (!changed.is_empty()).then(|| fields::changed(changed.iter(), of, style))
    }
}

/// Whether a preset shows a change of the book.
fn of_book(preset: Preset, changed: Changed) -> bool {
    match preset {
        Preset::Quote => changed == Changed::Best,
        Preset::Quote10 | Preset::Change => changed != Changed::Nothing,
        Preset::Tick | Preset::Tick10 | Preset::Index => false,
    }
}

/// Whether a preset shows a trade, which changes the accumulated volume of quotes, too.
fn of_trade(preset: Preset, _: Changed) -> bool {
    preset != Preset::Index
}

/// Whether a preset shows what is printed without the book.
fn of_print(preset: Preset, _: Changed) -> bool {
    matches!(preset, Preset::Tick | Preset::Tick10 | Preset::Change)
}

fn is_after_hours(time: HalfSecond) -> bool {
    Session::at(time).0 == Session::AfterHours
}

fn time_of_day(at: Moment) -> TimeOfDay {
    let TimeOfDay(begin) = at.half_second.into();
    TimeOfDay(begin + u64::from(at.hundredths) * 10_000)
}

#[cfg(test)]
mod tests;
