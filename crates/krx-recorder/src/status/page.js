"use strict";
(() => {
  const POLL_MS = 2000;
  const POLL_HIDDEN_MS = 15000;
  const ANSWER_MS_MAX = 5000;
  const GAPS_SHOWN = 12;
  const TROUBLED_SHOWN = 3;
  const DETAIL_SHOWN = 150;
  const DAY_S = 86400;
  // What the journal's smallest file needs.
  const FULL_BYTES = 262144;
  const MARKS = { live: "●", waiting: "○", connecting: "▲", refused: "■", ended: "■" };
  const $ = (selector, within = document) => within.querySelector(selector);

  // Words and figures

  const count = (number) => Math.round(number).toLocaleString("en-US");
  const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
  const clock = (time) => (time ? time.slice(11, 19) : "");
  const day = (time) => new Date(`${time.slice(0, 10)}T12:00:00Z`)
    .toLocaleDateString("en-GB", { weekday: "short", day: "numeric", month: "short", timeZone: "UTC" });
  const instant = (time, today) => (time.startsWith(today) ? "" : `${day(time)} `) + clock(time);
  const dayAndTime = (time, today) => (time.startsWith(today) ? "" : `${day(time)} `) + time.slice(11, 16);

  function bytes(number) {
    const units = ["B", "kB", "MB", "GB", "TB"];
    let unit = 0;
    while (number >= 1000 && unit < units.length - 1) { number /= 1000; unit += 1; }
    return `${unit && number < 100 ? number.toFixed(1) : Math.round(number)} ${units[unit]}`;
  }

  function length(seconds) {
    if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
    if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
    const whole = Math.round(seconds);
    if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
    if (whole < 2 * DAY_S) return `${Math.floor(whole / 3600)} h ${Math.floor(whole / 60) % 60} min`;
    return `${Math.floor(whole / DAY_S)} d ${Math.floor(whole / 3600) % 24} h`;
  }

  /** Seconds of the date; midnight at its end belongs to it. */
  function ofDay(time, date) {
    if (!time.startsWith(date)) return time < date ? 0 : DAY_S;
    const [hour, minute, second] = time.slice(11, 26).split(":").map(Number);
    return hour * 3600 + minute * 60 + second;
  }
  const seconds = (interval, date) => ofDay(interval.to_ts, date) - ofDay(interval.from_ts, date);

  // What to think of it

  /** What a person should know first, worst first; each in a few words, and in full. */
  function worries(status) {
    const found = [];
    const act = (short, text) => found.push({ level: "act", short, text });
    const look = (text) => found.push({ level: "look", text });
    // What follows from it is of no use before there is room again.
    if (status.disk_low && status.disk_free_bytes < FULL_BYTES) {
      act("The disk is full", `The disk is full: ${bytes(status.disk_free_bytes)} are free. Make room; what is received waits in memory meanwhile.`);
    }
    if (status.complaint) act("A part of the recorder does not work", status.complaint);
    for (const feed of status.feeds) {
      const name = feed.feed;
      const since = feed.state_since ? ` since ${clock(feed.state_since)}` : "";
      const why = feed.last_problem ? ` ${feed.last_problem.reason}: ${feed.last_problem.detail}` : "";
      if (feed.state === "refused") act(`${name} is not recorded: the key is refused`, `${name}: the server refuses the key.${why}`);
      else if (feed.schedule.session_expected && feed.state !== "live") {
        act(`${name} is not recorded`, `${name}: ${feed.state}${since}.${why}`);
      }
      if (feed.queue_bytes > 1e6) act(`The disk does not keep up`, `${name}: the disk does not keep up; ${bytes(feed.queue_bytes)} wait in memory.`);
      if (feed.state === "live" && feed.seconds_since_last_frame > 60) look(`${name}: nothing has come for ${length(feed.seconds_since_last_frame)}.`);
      const { overdue, refused } = feed.registrations || { overdue: 0, refused: 0 };
      if (overdue > 0) act(`${plural(overdue, "registration")} of ${name} ${overdue === 1 ? "is" : "are"} not active`, `${name}: ${plural(overdue, "registration")} ${overdue === 1 ? "has" : "have"} been neither active nor refused for a minute or more; nothing of ${overdue === 1 ? "it" : "them"} is recorded.`);
      if (refused > 0) look(`${name}: the server refuses ${plural(refused, "registration")}; nothing of ${refused === 1 ? "it" : "them"} is recorded.`);
      if (feed.lag_seconds > 30) look(`${name}: the export is ${length(feed.lag_seconds)} behind.`);
      if (feed.journal_damage > 0) look(`${name}: part of the journal could not be read; see the gaps with the reason damage.`);
      if (feed.journal_renewals > 0) look(`${name}: the disk has refused the journal ${plural(feed.journal_renewals, "time")} since the start.`);
      if (feed.poison_frames > 0) look(`${name}: ${plural(feed.poison_frames, "message")} made the exporter fail; each is in quarantine.`);
    }
    for (const { feed: name, clock: shows } of status.feeds) {
      const { verdict: shown, lag_seconds: late } = shows || {};
      if (shown === "early") act("The clock is slow", `${name}: records come ${length(-late)} before they were traded: this machine's clock is slow, and all time stamps are wrong.`);
      if (shown === "late") act(`Records of ${name} come ${length(late)} late`, `${name}: records come ${length(late)} after they were traded: this machine's clock is fast, or the feed is behind.`);
    }
    const { synchronised, steps, last_step_at: set } = status.clock || {};
    if (synchronised === false) look("Nothing keeps this machine's clock in step, and every record is stamped by it.");
    if (steps > 0) look(`This machine's clock was set ${plural(steps, "time")} since the start, last at ${instant(set, status.date)}.`);
    if (status.disk_low && status.disk_free_bytes >= FULL_BYTES) look(`The disk is nearly full: ${bytes(status.disk_free_bytes)} are free.`);
    return found.sort((one, other) => one.level.localeCompare(other.level));
  }

  function verdict(status, found) {
    const acts = [...new Set(found.filter(({ level }) => level === "act").map(({ short }) => short))];
    if (acts.length > 0) return { level: "act", text: `■ ${acts.join("; ")}` };
    const names = status.feeds.map((feed) => feed.feed).join(" and ");
    const live = status.feeds.every((feed) => feed.state === "live");
    const well = live ? `${names} ${status.feeds.length === 1 ? "is" : "are"} being recorded` : closed(status);
    if (found.length > 0) return { level: "look", text: `▲ Have a look. ${well}` };
    return { level: live ? "good" : "none", text: `${live ? "●" : "○"} ${well}` };
  }

  function closed(status) {
    const opens = status.schedule.opens_at;
    return opens ? `Closed; the next session opens ${dayAndTime(opens, status.date)}` : "No session is expected";
  }

  // Writing it down

  /** Changes only what has changed, so that what a person has selected stays selected. */
  function write(element, text) {
    if (element.textContent !== text) element.textContent = text;
  }

  /** A value, and more of it below: a text, or pieces of which none is broken where it fits into a line. */
  function figure(section, name, big, more) {
    const element = $(`[data-figure=${name}]`, section);
    if (!element.firstChild) {
      for (const part of ["big", "more"]) {
        const span = document.createElement("span");
        span.className = part;
        element.append(span, " ");
      }
    }
    write($(".big", element), big);
    const below = $(".more", element);
    if (!Array.isArray(more)) return write(below, more || "");
    if (below.textContent === more.join(", ")) return undefined;
    return below.replaceChildren(...more.flatMap((text, index) => {
      const piece = document.createElement("span");
      piece.className = "piece";
      piece.textContent = index + 1 < more.length ? `${text},` : text;
      return index ? [" ", piece] : [piece];
    }));
  }

  /** Rows of cells; a cell is text, or text with more of it below. */
  function fill(table, rows, none) {
    const body = $("tbody", table);
    const text = JSON.stringify(rows);
    if (body.dataset.rows === text) return;
    body.dataset.rows = text;
    const columns = table.tHead.rows[0].cells;
    body.replaceChildren(...(rows.length ? rows : [[none]]).map((cells) => {
      const row = document.createElement("tr");
      row.append(...cells.map((cell, index) => {
        const data = document.createElement("td");
        const [text, more] = [cell].flat();
        data.textContent = text;
        if (more) {
          const below = document.createElement("span");
          below.className = "more";
          below.textContent = more.length > DETAIL_SHOWN ? `${more.slice(0, DETAIL_SHOWN)}…` : more;
          below.title = more;
          data.append(" ", below);
        }
        data.className = rows.length ? columns[index].className : "none";
        if (!rows.length) data.colSpan = columns.length;
        return data;
      }));
      return row;
    }));
  }

  /** How many registrations are active; and of a session that is open, which are not, and why. */
  function registered(feed, today) {
    const { wanted, max, active, troubled } = feed.registrations;
    const others = ["requested", "refused", "unanswered", "silent"]
      .filter((state) => feed.registrations[state] > 0).map((state) => `, ${count(feed.registrations[state])} ${state}`);
    const text = `Registrations: ${count(active)} of ${count(wanted)} active${others.join("")}; ${count(max)} at most.`;
    if (feed.state !== "live" || wanted === active) return text;
    const shown = troubled.slice(0, TROUBLED_SHOWN).map(({ preset, code, state, since, detail }) =>
      `${preset}:${code} ${state}${since ? ` since ${instant(since, today)}` : ""}${detail ? ` (${detail.length > DETAIL_SHOWN ? `${detail.slice(0, DETAIL_SHOWN)}…` : detail})` : ""}`);
    const more = wanted - active - shown.length;
    return `${text} ${shown.join("; ")}${more > 0 ? `; and ${count(more)} more` : ""}.`;
  }

  const sections = new Map();

  function sectionOf(feed) {
    if (!sections.has(feed)) {
      const section = $("#feed").content.firstElementChild.cloneNode(true);
      section.dataset.feed = feed;
      write($(".name", section), feed);
      $("#feeds").append(section);
      sections.set(feed, section);
      const chart = $(".chart", section);
      chart.addEventListener("pointermove", (event) => point(section, event));
      chart.addEventListener("pointerleave", () => point(section, null));
    }
    return sections.get(feed);
  }

  function showFeed(status, feed) {
    const section = sectionOf(feed.feed);
    const state = $(".state", section);
    state.dataset.state = feed.state;
    const since = feed.state_since ? ` since ${dayAndTime(feed.state_since, status.date)}` : "";
    write(state, `${MARKS[feed.state] || "?"} ${feed.state}${since}`);

    const ago = feed.seconds_since_last_frame;
    const quarantined = Object.entries(feed.quarantined_by_reason);
    figure(section, "date_records", count(feed.date_records));
    figure(section, "date_frames", count(feed.date_frames), `${plural(feed.sessions, "session")}`);
    figure(section, "rate", `${count(feed.rates.records_per_s)}/s`, `${bytes(feed.rates.bytes_per_s)}/s`);
    figure(section, "last_frame", ago === null ? "none yet" : `${length(ago)} ago`, ago === null ? "" : `at ${instant(feed.last_frame_at, status.date)}`);
    figure(section, "gaps", count(feed.gaps.count), feed.gaps.count ? `${length(feed.gaps.seconds)} together` : "");
    figure(section, "lag", feed.frames_behind ? length(feed.lag_seconds) : "none", feed.frames_behind ? `${plural(feed.frames_behind, "message")} behind` : "");
    const { verdict: shown, lag_seconds: late } = feed.clock || {};
    const isKnown = late !== undefined && late !== null;
    figure(section, "clock", isKnown ? length(Math.abs(late)) : "not known", isKnown ? `${late < 0 ? "before" : "after"} the trade${shown === "good" ? "" : `: ${shown}`}` : "");
    figure(section, "quarantined", count(quarantined.reduce((sum, [, number]) => sum + number, 0)), quarantined.length ? quarantined.map(([reason, number]) => `${reason} ${count(number)}`) : "in this run");
    figure(section, "sync", feed.rates.sync_seconds === null ? "–" : length(feed.rates.sync_seconds), feed.queue_bytes > 1e5 ? `${bytes(feed.queue_bytes)} wait` : "");

    const registrations = $(".registrations", section);
    registrations.hidden = !feed.registrations;
    if (feed.registrations) write(registrations, registered(feed, status.date));

    const problem = $(".problem", section);
    problem.hidden = !feed.last_problem;
    if (feed.last_problem) {
      const { at, reason, detail } = feed.last_problem;
      write(problem, `Last problem, ${instant(at, status.date)}: ${reason}: ${detail}`);
    }

    const gaps = feed.intervals.filter((interval) => interval.state === "gap").reverse();
    const rows = gaps.slice(0, GAPS_SHOWN).map((gap) => [clock(gap.from_ts), length(seconds(gap, status.date)), [gap.reason, gap.detail]]);
    if (gaps.length > GAPS_SHOWN) rows.push(["", "", `${gaps.length - GAPS_SHOWN} more: krx-recorder coverage shows them`]);
    fill($(".gaps", section), rows, "none");
    fill($(".files", section), feed.files.map((file) => {
      const [, , first, last] = file.name.replace(".parquet", "").split("-");
      return [dayAndTime(file.committed_at, status.date), `${count(first)} to ${count(last)}`, count(file.rows), bytes(file.bytes)];
    }), "none committed today");
    draw(section, status, feed);
  }

  function show(status) {
    const found = worries(status);
    const { level, text } = verdict(status, found);
    $("#verdict").dataset.level = level;
    write($("#verdict"), text);
    document.title = `${text.slice(0, 1)} krx-recorder`;
    const list = $("#worries");
    list.hidden = found.length === 0;
    if (list.dataset.text !== JSON.stringify(found)) {
      list.dataset.text = JSON.stringify(found);
      list.replaceChildren(...found.map((worry) => {
        const item = document.createElement("li");
        item.dataset.level = worry.level;
        item.textContent = worry.text;
        return item;
      }));
    }
    write($("#clock"), `${day(status.now)} ${clock(status.now)} KST`);
    status.feeds.forEach((feed) => showFeed(status, feed));

    const recorder = $("#recorder");
    recorder.hidden = false;
    figure(recorder, "disk", `${bytes(status.disk_free_bytes)} free`, `${status.disk_low ? "low: " : ""}warns below ${bytes(status.disk_warn_free_bytes)}`);
    const { session_expected: expected, opens_at: opens, closes_at: closes } = status.schedule;
    const hours = closes ? `closes ${dayAndTime(closes, status.date)}` : opens ? `opens ${dayAndTime(opens, status.date)}` : "at all times";
    figure(recorder, "schedule", expected ? "expected now" : "not now", hours);
    const { synchronised, max_error_us: error, source } = status.clock || {};
    const inStep = { true: "synchronised", false: "not synchronised" }[synchronised] || "not known";
    figure(recorder, "machine_clock", inStep, typeof error === "number" ? `at most ${length(error / 1e6)} off` : synchronised === null ? source : "");
    const up = (Date.parse(status.now) - Date.parse(status.started_at)) / 1000;
    figure(recorder, "process", `version ${status.version}`, `process ${status.pid}, up for ${length(up)}`);
  }

  // The chart: records by the minute, and the ledger below on the same axis.

  const HEIGHT = 172, LEFT = 46, RIGHT = 6, TOP = 10, PLOT = 118, BAND = 16, BAND_TOP = TOP + PLOT + 6;

  function svg(name, attributes, text) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    return element;
  }

  /** From when to when there is anything to see: whole hours, one at least, in seconds of the date. */
  function span(status, feed) {
    const date = status.date;
    const times = feed.intervals.filter((interval) => interval.state !== "idle")
      .flatMap((interval) => [ofDay(interval.from_ts, date), ofDay(interval.to_ts, date)]);
    feed.minutes.forEach((records, minute) => { if (records) times.push(minute * 60, minute * 60 + 60); });
    if (feed.schedule.session_expected) times.push(ofDay(status.now, date));
    if (times.length === 0) return [8 * 3600, 20 * 3600];
    const from = Math.floor(times.reduce((least, time) => Math.min(least, time)) / 3600) * 3600;
    const to = Math.ceil(times.reduce((most, time) => Math.max(most, time)) / 3600) * 3600;
    return [Math.min(from, DAY_S - 3600), Math.max(to, from + 3600)];
  }

  function nice(number) {
    const power = 10 ** Math.floor(Math.log10(Math.max(number, 1)));
    return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= number);
  }

  function short(number) {
    if (number >= 1e6) return `${number / 1e6}M`;
    return number >= 1e4 ? `${number / 1e3}k` : count(number);
  }

  /** The ledger as stretches of pixels. Where several intervals share one, a gap is what is shown. */
  function stretches(status, feed, x, from, to) {
    const gaps = [], others = [];
    for (const { from_ts: begins, to_ts: ends, state } of feed.intervals) {
      const begin = Math.max(ofDay(begins, status.date), from);
      const end = Math.min(ofDay(ends, status.date), to);
      if (end < begin) continue;
      const among = state === "gap" ? gaps : others;
      const stretch = { state, left: x(begin), right: Math.max(x(end), x(begin) + (state === "gap" ? 2 : 0)) };
      const last = among[among.length - 1];
      if (last && last.state === state && stretch.left <= last.right) last.right = Math.max(last.right, stretch.right);
      else among.push(stretch);
    }
    return [...others, ...gaps];
  }

  function draw(section, status, feed) {
    const chart = $(".chart", section);
    const width = Math.max(chart.clientWidth, 200);
    const [from, to] = span(status, feed);
    const x = (second) => Number((LEFT + (second - from) / (to - from) * (width - LEFT - RIGHT)).toFixed(1));
    const first = from / 60, last = to / 60;
    const minutes = feed.minutes.slice(first, last);
    const peak = minutes.reduce((most, records) => Math.max(most, records), 0);
    const top = nice(Math.max(peak, 10));
    const y = (records) => Number((TOP + PLOT - records / top * PLOT).toFixed(1));
    chart.plot = { from, to, width, minutes, first };

    const parts = [];
    for (const level of [top, top / 2]) {
      parts.push(svg("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(level), y2: y(level) }));
      parts.push(svg("text", { x: LEFT - 6, y: y(level) + 4, "text-anchor": "end" }, short(level)));
    }
    const hours = (to - from) / 3600;
    const step = hours <= 1 ? 900 : [1, 2, 3, 6].find((every) => hours / every * 52 < width - LEFT) * 3600;
    for (let second = Math.ceil(from / step) * step; second <= to; second += step) {
      const name = `${String(Math.floor(second / 3600)).padStart(2, "0")}:${String(second / 60 % 60).padStart(2, "0")}`;
      const anchor = second === to ? "end" : "middle";
      parts.push(svg("line", { class: "grid", x1: x(second), x2: x(second), y1: TOP, y2: BAND_TOP + BAND + 3 }));
      parts.push(svg("text", { x: x(second), y: HEIGHT - 4, "text-anchor": anchor }, name));
    }

    // Up to the minute that is not over, which would look like a fall; unless there is no other.
    const over = Math.min(Math.max(Math.floor(ofDay(status.now, status.date) / 60) - first, 0), minutes.length);
    const some = minutes.slice(0, over).some((records) => records > 0);
    const points = minutes.slice(0, some ? over : over + 1).map((records, index) => `${x((first + index) * 60)},${y(records)}H${x((first + index + 1) * 60)}`);
    const shades = [], band = [svg("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: TOP + PLOT, y2: TOP + PLOT })];
    for (const { state, left, right } of stretches(status, feed, x, from, to)) {
      const thickness = { live: 4, gap: BAND, idle: 2 }[state] || 2;
      band.push(svg("rect", { class: state, x: left, width: Math.max(right - left, 0.5), y: BAND_TOP + (BAND - thickness) / 2, height: thickness }));
      if (state === "gap") shades.push(svg("rect", { class: "shade", x: left, width: right - left, y: TOP, height: PLOT }));
    }
    parts.push(...shades);
    if (points.length) {
      const line = `M${points.join("L")}`;
      parts.push(svg("path", { class: "area", d: `${line}V${TOP + PLOT}H${x(from)}Z` }));
      parts.push(svg("path", { class: "rate", d: line }));
    }
    parts.push(...band);
    const second = ofDay(status.now, status.date);
    if (second > from && second < to) parts.push(svg("line", { class: "now", x1: x(second), x2: x(second), y1: TOP, y2: BAND_TOP + BAND }));
    parts.push(svg("line", { class: "cursor", visibility: "hidden", y1: TOP, y2: BAND_TOP + BAND }));

    const at = minutes.indexOf(peak) + first;
    const peakWords = peak ? `at most ${count(peak)}, at ${String(Math.floor(at / 60)).padStart(2, "0")}:${String(at % 60).padStart(2, "0")}` : "none yet";
    const label = `Records of ${feed.feed} a minute: ${peakWords}. ${plural(feed.gaps.count, "gap")}, listed below.`;
    chart.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    if (chart.getAttribute("aria-label") !== label) chart.setAttribute("aria-label", label);
    chart.replaceChildren(...parts);
    if (chart.pointed !== undefined) point(section, { offsetX: chart.pointed });
  }

  /** Reads the chart where the pointer is. */
  function point(section, event) {
    const chart = $(".chart", section);
    const readout = $(".readout", section);
    const cursor = $(".cursor", chart);
    chart.pointed = event ? event.offsetX : undefined;
    if (!event || !chart.plot || !cursor) {
      write(readout, "");
      if (cursor) cursor.setAttribute("visibility", "hidden");
      return;
    }
    const { from, to, width, minutes, first } = chart.plot;
    const second = from + (event.offsetX - LEFT) / (width - LEFT - RIGHT) * (to - from);
    const minute = Math.min(Math.max(Math.floor(second / 60) - first, 0), minutes.length - 1);
    const at = LEFT + ((minute + 0.5) * 60) / (to - from) * (width - LEFT - RIGHT);
    cursor.setAttribute("visibility", "visible");
    cursor.setAttribute("x1", at);
    cursor.setAttribute("x2", at);
    const name = `${String(Math.floor((first + minute) / 60)).padStart(2, "0")}:${String((first + minute) % 60).padStart(2, "0")}`;
    write(readout, `${name}  ${count(minutes[minute])}`);
  }

  // Asking, again and again

  let latest = null;
  let answeredAt = performance.now();

  async function ask() {
    try {
      const answer = await fetch("/status.json", { cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS_MAX) });
      if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
      latest = await answer.json();
      answeredAt = performance.now();
      document.body.classList.remove("old");
      $("#silence").hidden = true;
      show(latest);
      document.dispatchEvent(new CustomEvent("status", { detail: latest }));
    } catch (error) {
      noAnswer(error);
    }
    setTimeout(ask, document.hidden ? POLL_HIDDEN_MS : POLL_MS);
  }

  function noAnswer(error) {
    const silence = $("#silence");
    const ago = length((performance.now() - answeredAt) / 1000);
    document.body.classList.add("old");
    document.title = "■ krx-recorder";
    $("#verdict").dataset.level = "act";
    write($("#verdict"), "■ The recorder does not answer");
    $("#worries").hidden = true;
    silence.hidden = false;
    if (error.name !== "TypeError" && error.name !== "TimeoutError") write(silence, `The page failed: ${error.message}`);
    else if (latest) write(silence, `No answer since ${clock(latest.now)}, for ${ago}. What is below is from then. Look at: systemctl status krx-recorder`);
    else write(silence, `No answer yet, for ${ago}. Look at: systemctl status krx-recorder`);
  }

  addEventListener("resize", () => { if (latest) latest.feeds.forEach((feed) => draw(sectionOf(feed.feed), latest, feed)); });
  document.addEventListener("visibilitychange", () => { if (!document.hidden && latest) show(latest); });
  ask();
})();
