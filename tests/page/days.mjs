// Days to look at: what status.json says of a recorder in the middle of one, when all is well and when it is not.

const DATE = "2026-11-20";

const at = (seconds, date = DATE) => {
  const whole = Math.floor(seconds);
  const two = (number) => String(number).padStart(2, "0");
  const time = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60].map(two).join(":");
  return `${date}T${time}.${String(Math.round((seconds - whole) * 1e6)).padStart(6, "0")}+09:00`;
};
const clock = (text) => text.split(":").map(Number).reduce((sum, part) => sum * 60 + part, 0) * (text.split(":").length === 2 ? 60 : 1);

/** Records a minute as a feed has them: auctions, the rush after the open, a quiet noon. */
function curve(until, scale) {
  let seed = 7;
  const chance = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
  return Array.from({ length: 1440 }, (_, minute) => {
    if (minute >= until) return 0;
    const shape = minute < 510 ? 0 : minute < 540 ? 0.06 : minute < 920 ? 0.25 + 0.9 * Math.exp(-(minute - 540) / 28) + 0.22 * Math.exp(-(((minute - 915) / 40) ** 2))
      : minute < 930 ? 0.08 : minute < 940 ? 0.01 : minute < 960 ? 0.05 : minute < 1200 ? 0.07 : 0;
    return Math.round(shape * scale * (0.75 + 0.5 * chance()));
  });
}

/** Intervals between the given changes; rows are those of the minutes. */
function ledger(changes, now, minutes) {
  let session = 0;
  return changes.map(([from, state, reason, detail = null], index) => {
    const begin = clock(from);
    const end = index + 1 < changes.length ? clock(changes[index + 1][0]) : now;
    if (state === "live") session += 1;
    const rows = state === "live" ? minutes.reduce((sum, records, minute) => sum + (minute * 60 >= begin - 59 && minute * 60 < end ? records : 0), 0) : 0;
    return { from_ts: at(begin), to_ts: at(end), state, reason, session: state === "live" ? session : null, frames: Math.round(rows / 11), rows, detail };
  });
}

function feed(name, now, scale, changes, more) {
  const minutes = curve(Math.floor(now / 60), scale);
  const intervals = ledger(changes, now, minutes);
  const gaps = intervals.filter(({ state }) => state === "gap");
  const sum = (key) => intervals.reduce((total, interval) => total + interval[key], 0);
  const seconds = ({ from_ts: from, to_ts: to }) => (Date.parse(to) - Date.parse(from)) / 1000;
  const last = intervals[intervals.length - 1];
  return {
    feed: name, service: "full_market", registrations: null, host: "koscom.example", state: last.state === "live" ? "live" : last.state === "idle" ? "waiting" : "connecting",
    state_since: last.from_ts, sessions: 2, last_frame_us: 1, last_frame_at: at(now - 0.4), seconds_since_last_frame: 0.4, last_problem: null,
    frames_received: sum("frames"), bytes_received: 1, queue_bytes: 0, frames_journaled: sum("frames"), bytes_journaled: 1, frames_behind: 0,
    lag_seconds: 0, records: sum("rows"), quarantined_by_reason: {},
    rates: { seconds: 60, frames_per_s: 130.2, bytes_per_s: 98432, records_per_s: minutes[Math.floor(now / 60) - 1] / 60, sync_seconds: 0.0021 },
    rows_committed: 1, quarantined_committed: 0, files_committed: 40, bytes_committed: 1, oversized_batches: 0, journal_damage: 0, journal_renewals: 0, poison_frames: 0,
    date_frames: sum("frames"), date_records: sum("rows"),
    gaps: { count: gaps.length, seconds: gaps.reduce((total, gap) => total + seconds(gap), 0) }, intervals, minutes,
    files: Array.from({ length: 8 }, (_, index) => {
      const end = Math.floor(now / 300) * 300 - index * 300;
      const first = String(140000 - index * 2100).padStart(12, "0"), lastFrame = String(142099 - index * 2100).padStart(12, "0");
      return { date: DATE, name: `trades-20261120T${at(end - 300).slice(11, 19).replaceAll(":", "")}-${first}-${lastFrame}.parquet`, rows: 23012 + index * 77, quarantined: 0, bytes: 98213 + index * 311, committed_at: at(end + 0.2) };
    }),
    ...more,
  };
}

function day(now, schedule, feeds, more) {
  return {
    version: "0.1.0", pid: 811, started_at: at(clock("08:19"), "2026-11-16"), now: at(now), now_us: 1, date: DATE, schedule,
    disk_free_bytes: 412_300_000_000, disk_low: false, disk_warn_free_bytes: 10_737_418_240, feeds: feeds.map((feed) => ({ schedule, ...feed })), ...more,
  };
}

const OPEN = { session_expected: true, data_expected: true, opens_at: null, closes_at: at(clock("20:10")) };
const MORNING = [["00:00", "idle", "not_connected"], ["08:20:00", "gap", "not_connected"], ["08:20:00.4", "live", "connected"]];
const ALL_DAY = [...MORNING, ["10:41:07", "gap", "reset", "the connection broke"], ["10:41:08.2", "live", "connected"]];
const LOST = [...MORNING, ["11:02:31", "gap", "stalled", "nothing came for 30 s"], ["11:09:02", "live", "connected"],
  ["13:15:40", "gap", "paused"], ["13:16:12", "live", "resumed"]];

/** Two in the afternoon of a day like others. */
export const good = () => {
  const now = clock("14:32:10");
  return day(now, OPEN, [feed("KOSPI", now, 52000, ALL_DAY), feed("KOSDAQ", now, 61000, LOST, {
    last_problem: { at_us: 1, at: at(clock("11:02:31")), reason: "stalled", detail: "nothing came for 30 s" },
  })]);
};

/** Two in the afternoon, with a per-issue feed of which not everything is there. */
export const issues = (more = {}) => {
  const now = clock("14:32:10");
  const registrations = { wanted: 200, max: 200, active: 200, requested: 0, refused: 0, unanswered: 0, silent: 0, overdue: 0, troubled: [], ...more };
  return day(now, OPEN, [feed("KOSPI", now, 52000, ALL_DAY), feed("ISSUES", now, 61000, MORNING, { service: "per_issue", registrations })]);
};

/** Two in the afternoon, and what is known of the clock: of the machine's, and what each feed's records show of it. */
export const clocked = (machine, shows) => {
  const day = good();
  const known = { synchronised: true, offset_us: null, max_error_us: 1250, source: "kernel", steps: 0, last_step_at: null, last_step_seconds: null, lag_max_seconds: 10, ...machine };
  return { ...day, clock: known, feeds: day.feeds.map((feed) => ({ ...feed, clock: { at: at(clock("14:32:09")), ...shows } })) };
};

/** What is wrong with a registration since the morning. */
export const troubled = (preset, code, state, detail = null) => ({ preset, code, state, since_us: 1, since: at(clock("08:20:07")), detail });

/** Half past eight, and one feed cannot be had. */
export const bad = () => {
  const now = clock("08:31:25");
  const words = "connecting to koscom.example:443: Connection timed out (os error 110)";
  return day(now, OPEN, [
    feed("KOSPI", now, 52000, MORNING, { lag_seconds: 41.3, frames_behind: 5210 }),
    feed("KOSDAQ", now, 0, [["00:00", "idle", "not_connected"], ["08:20:00", "gap", "not_connected", `31 attempts to connect failed, the last: unreachable: ${words}`]], {
      last_problem: { at_us: 1, at: at(clock("08:31:19")), reason: "unreachable", detail: words },
      seconds_since_last_frame: null, last_frame_at: null, queue_bytes: 0, files: [],
      rates: { seconds: 60, frames_per_s: 0, bytes_per_s: 0, records_per_s: 0, sync_seconds: null },
    }),
  ], { disk_low: true, disk_free_bytes: 4_200_000_000 });
};

/** Saturday. */
export const closed = () => {
  const now = clock("11:00:00");
  const empty = { files: [], intervals: [], gaps: { count: 0, seconds: 0 }, state_since: at(clock("20:10"), "2026-11-20"), last_frame_at: at(clock("20:09:59"), "2026-11-20"), seconds_since_last_frame: 53401, minutes: Array(1440).fill(0), date_frames: 0, date_records: 0, state: "waiting",
    rates: { seconds: 60, frames_per_s: 0, bytes_per_s: 0, records_per_s: 0, sync_seconds: null } };
  const schedule = { session_expected: false, data_expected: false, opens_at: at(clock("08:20"), "2026-11-23"), closes_at: null };
  const saturday = "2026-11-21";
  return day(now, schedule, [feed("KOSPI", now, 0, MORNING, empty), feed("KOSDAQ", now, 0, MORNING, empty)], { date: saturday, now: at(now, saturday) });
};

/** A server whose words want to be more than words, and a day that would not stay connected. */
export const hostile = () => {
  const now = clock("16:05:00");
  const words = "<img src=x onerror=\"document.title='broken'\"><script>document.title='broken'</script>" + "long".repeat(40);
  const flapping = [...MORNING];
  for (let second = clock("09:00"); second < clock("16:00"); second += 40) {
    const time = (offset) => at(second + offset).slice(11, 21);
    flapping.push([time(0), "gap", "server_closed", words], [time(7.5), "live", "connected"]);
  }
  const broken = { quarantined_by_reason: { malformed_json: 12, not_an_integer: 3, server_error: 118 }, poison_frames: 1, journal_renewals: 2, journal_damage: 1,
    queue_bytes: 33_000_000, last_problem: { at_us: 1, at: at(now - 3), reason: "server_closed", detail: words } };
  return day(now, OPEN, [feed("KOSPI", now, 52000, flapping, broken), feed("KOSDAQ", now, 61000, ALL_DAY, { state: "refused", last_problem: broken.last_problem })],
    { complaint: "export-KOSPI has done nothing for 61 s" });
};
