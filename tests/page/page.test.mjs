// The status page in a browser, while a recorder is at work: its figures are those of the ledger, nothing is asked of
// anybody else, and it says so when nobody answers. Screenshots are left in target/page.

import assert from "node:assert/strict";
import { mkdtempSync, mkdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";

import { chromium } from "playwright-core";

import { bad, clocked, closed, good, hostile, issues, troubled } from "./days.mjs";
import { DESKTOP, FLAGS, PHONE, SHOTS, readability } from "./reading.mjs";
import { sentBy, startRecorder, startSimulator, until } from "./programs.mjs";

let folder, browser, simulator, recorder;

before(async () => {
  mkdirSync(SHOTS, { recursive: true });
  folder = mkdtempSync(path.join(tmpdir(), "krx-page-"));
  // Each market loses its connection twice, and is sent something that is not a trade.
  simulator = await startSimulator(folder, ["--rate", "3000", "--trades-per-day", "60000", "--heartbeat-interval", "0",
    "--fault", "disconnect@2000,market=KOSPI", "--fault", "reset@9000,market=KOSPI", "--fault", "garbage@150:badrecord",
    "--fault", "close@3000:1011,market=KOSDAQ", "--fault", "disconnect@8000,market=KOSDAQ", "--fault", "garbage@400"]);
  recorder = await startRecorder(folder, simulator.url);
  // The browser's profile is a new and empty one.
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: FLAGS });
});

after(async () => {
  await browser?.close();
  await recorder?.kill();
  await simulator?.kill();
  if (folder) rmSync(folder, { recursive: true, force: true });
});

/** A page, all that it asks for, and all that it complains of. */
async function open(options = {}) {
  const context = await browser.newContext({ viewport: DESKTOP, ...options });
  const page = await context.newPage();
  const asked = [], complaints = [];
  context.on("request", (request) => asked.push(request.url()));
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  return { page, asked, complaints, close: () => context.close() };
}

/** Opens the page on a day that is not the recorder's. */
async function openOn(status, options) {
  const opened = await open(options);
  await opened.page.route("**/status.json", (route) => route.fulfill({ json: status }));
  await opened.page.goto(recorder.address);
  await opened.page.waitForSelector("section[data-feed]");
  return opened;
}

/** What the page says of a feed: figures as numbers where they are, and the gaps' table. */
const shown = (page, feed) => page.$eval(`section[data-feed=${feed}]`, (section) => {
  const figure = (name) => section.querySelector(`[data-figure=${name}] .big`).textContent;
  const rows = (table) => [...section.querySelectorAll(`${table} tbody tr`)].map((row) => [...row.cells].map((cell) => cell.textContent));
  const number = (name) => Number(figure(name).replaceAll(",", ""));
  return {
    state: section.querySelector(".state").dataset.state,
    records: number("date_records"), frames: number("date_frames"), gaps: number("gaps"), quarantined: number("quarantined"),
    lag: figure("lag"), gapRows: rows(".gaps"), files: rows(".files"),
    label: section.querySelector("svg").getAttribute("aria-label"), bands: section.querySelectorAll("svg rect.gap").length,
  };
});

async function shoot(page, name) {
  await page.screenshot({ path: path.join(SHOTS, `${name}.png`), fullPage: true });
}

test("its figures are the ledger's while it records, and it asks nobody else", async () => {
  const { page, asked, complaints, close } = await open();
  await page.goto(recorder.address);
  const first = await until("records are shown", async () => {
    const feed = await shown(page, "KOSPI").catch(() => null);
    return feed?.records > 0 && feed;
  });
  await until("they rise", async () => (await shown(page, "KOSPI")).records > first.records);
  await until("the day is over", () => simulator.told().filter(({ event }) => event === "day_complete").length === 2, 120);

  // Nothing but heartbeats comes any more, one a minute: what all say is compared between two of them.
  const { before, status, coverage, pages } = await until("all of them agree on an instant", async () => {
    const [before, coverage] = [await recorder.status(), await recorder.coverage()];
    await page.waitForTimeout(4500);
    const pages = Object.fromEntries(await Promise.all(["KOSPI", "KOSDAQ"].map(async (name) => [name, await shown(page, name)])));
    const status = await recorder.status();
    const frames = (of) => of.feeds.map((feed) => `${feed.frames_journaled} ${feed.files_committed}`).join();
    return frames(before) === frames(status) && status.feeds.every((feed) => feed.frames_behind === 0) && { before, status, coverage, pages };
  });
  await shoot(page, "recording");
  await simulator.stop();
  // Nothing came in the seconds between; what came right after the second look is left out.
  const sent = sentBy(simulator.ledger, before.now_us + 1e6);

  for (const feed of status.feeds) {
    const name = feed.feed;
    const rows = coverage.filter((row) => row.feed === name);
    const sum = (key) => rows.reduce((total, row) => total + row[key], 0);
    const gaps = rows.filter(({ state }) => state === "gap");
    const page = pages[name];
    assert.equal(page.state, "live", name);
    assert.equal(page.records, sum("rows"), `${name}: records on the page, and in the coverage`);
    assert.equal(page.frames, sum("frames"), `${name}: messages on the page, and in the coverage`);
    assert.equal(page.frames, sent[name].frames, `${name}: messages on the page, and sent`);
    assert.equal(page.records, sent[name].records + sent[name].others, `${name}: records on the page, and sent`);
    assert.equal(page.records, feed.minutes.reduce((total, records) => total + records), `${name}: the chart`);
    assert.ok(page.quarantined >= 1 && page.quarantined === Object.values(feed.quarantined_by_reason).reduce((a, b) => a + b), name);
    assert.ok(gaps.length >= 3, `${name}: the start, and two connections that were lost`);
    assert.equal(page.gaps, gaps.length, `${name}: gaps on the page, and in the coverage`);
    assert.equal(page.bands > 0, true, `${name}: gaps in the band`);
    assert.deepEqual(page.gapRows.map(([from, , reason]) => [from, reason.split(" ")[0]]),
      gaps.reverse().map((gap) => [gap.from_ts.slice(11, 19), gap.reason]), name);
    // Time moves on only within the last interval.
    assert.deepEqual(feed.intervals.slice(0, -1), rows.slice(0, -1).map(({ date, feed, ...row }) => row), name);
    assert.deepEqual(page.files.map((file) => Number(file[2].replaceAll(",", ""))), feed.files.map((file) => file.rows), name);
    assert.equal(page.lag, "none");
  }
  assert.ok(asked.length > 3);
  for (const url of asked) assert.equal(new URL(url).origin, recorder.address, url);
  assert.deepEqual(complaints, []);
  await close();
});

test("it says when nobody answers any more, and since when", async () => {
  const { page, close } = await open();
  await page.goto(recorder.address);
  await page.waitForSelector("section[data-feed=KOSPI]");
  await page.waitForTimeout(2500);
  const before = await shown(page, "KOSPI");
  await recorder.stop();
  await page.waitForSelector("#silence:not([hidden])");
  await page.waitForTimeout(2500);
  assert.equal(await page.textContent("#verdict"), "■ The recorder does not answer");
  assert.match(await page.textContent("#silence"), /^No answer since \d\d:\d\d:\d\d, for .*from then.*systemctl status krx-recorder$/);
  assert.equal(await page.$eval("body", (body) => body.classList.contains("old")), true);
  const now = await shown(page, "KOSPI");
  assert.deepEqual([now.records, now.frames, now.gaps], [before.records, before.frames, before.gaps], "the last figures stay");
  await shoot(page, "silent");

  // It comes back by itself with the recorder.
  await page.route("**/status.json", (route) => route.fulfill({ json: good() }));
  await page.waitForSelector("#silence", { state: "hidden" });
  assert.equal(await page.$eval("body", (body) => body.classList.contains("old")), false);
  await close();
  recorder = await startRecorder(folder, simulator.url);
});

test("it tells at a glance what there is to do", async () => {
  for (const [name, status, level, words, texts] of [
    ["good", good(), "good", "● KOSPI and KOSDAQ are being recorded", []],
    ["closed", closed(), "none", "○ Closed; the next session opens Mon 23 Nov 08:20", []],
    ["bad", bad(), "act", "■ KOSDAQ is not recorded", [
      "KOSDAQ: connecting since 08:20:00. unreachable: connecting to koscom.example:443: Connection timed out (os error 110)",
      "KOSPI: the export is 41 s behind.", "The disk is nearly full: 4.2 GB are free."]],
  ]) {
    const { page, complaints, close } = await openOn(status);
    assert.equal(await page.textContent("#verdict"), words);
    assert.equal(await page.getAttribute("#verdict", "data-level"), level);
    assert.deepEqual(await page.$$eval("#worries li", (items) => items.map((item) => item.textContent)), texts);
    assert.deepEqual(complaints, [], name);
    await close();
  }
});

test("a per-issue feed says what of its list is there", async () => {
  const line = (page, feed) => page.$eval(`section[data-feed=${feed}] .registrations`, (line) => (line.hidden ? null : line.textContent));
  const many = ["000001", "000002", "000003", "000004"].map((code) => troubled("tick10", code, "unanswered"));
  for (const [more, level, words, texts, expected] of [
    [{}, "good", "● KOSPI and ISSUES are being recorded", [], "Registrations: 200 of 200 active; 200 at most."],
    [{ active: 198, requested: 2, troubled: [{ ...troubled("tick10", "000001", "requested"), since_us: null, since: null }, troubled("quote10", "000001", "requested")] },
      "good", "● KOSPI and ISSUES are being recorded", [],
      "Registrations: 198 of 200 active, 2 requested; 200 at most. tick10:000001 requested; quote10:000001 requested since 08:20:07."],
    [{ active: 199, refused: 1, troubled: [troubled("tick10", "999999", "refused", "error 10040: <b>no</b> such issue")] },
      "look", "▲ Have a look. KOSPI and ISSUES are being recorded", ["ISSUES: the server refuses 1 registration; nothing of it is recorded."],
      "Registrations: 199 of 200 active, 1 refused; 200 at most. tick10:999999 refused since 08:20:07 (error 10040: <b>no</b> such issue)."],
    [{ active: 195, silent: 1, unanswered: 4, overdue: 4, troubled: [...many, troubled("tick10", "000005", "silent")] },
      "act", "■ 4 registrations of ISSUES are not active",
      ["ISSUES: 4 registrations have been neither active nor refused for a minute or more; nothing of them is recorded."],
      "Registrations: 195 of 200 active, 4 unanswered, 1 silent; 200 at most. tick10:000001 unanswered since 08:20:07; tick10:000002 unanswered since 08:20:07; tick10:000003 unanswered since 08:20:07; and 2 more."],
  ]) {
    const { page, complaints, close } = await openOn(issues(more));
    assert.equal(await page.textContent("#verdict"), words);
    assert.equal(await page.getAttribute("#verdict", "data-level"), level);
    assert.deepEqual(await page.$$eval("#worries li", (items) => items.map((item) => item.textContent)), texts);
    assert.equal(await line(page, "ISSUES"), expected);
    assert.equal(await line(page, "KOSPI"), null);
    assert.equal(await page.locator(".registrations b").count(), 0);
    assert.deepEqual(complaints, []);
    await close();
  }
});

test("a clock that cannot be trusted is said loudly, and one that can be is shown", async () => {
  const early = { verdict: "early", lag_seconds: -3600.2 }, late = { verdict: "late", lag_seconds: 3599.6 };
  const fine = { verdict: "good", lag_seconds: 0.25 }, unknown = { verdict: "unknown", lag_seconds: null };
  const both = (text) => ["KOSPI", "KOSDAQ"].map((feed) => `${feed}: records come ${text}`);
  const recorded = "KOSPI and KOSDAQ are being recorded";
  for (const [machine, shows, level, words, texts, machineClock, feedClock] of [
    [{}, fine, "good", `● ${recorded}`, [], "synchronised at most 1 ms off", "250 ms after the trade"],
    [{ synchronised: null, max_error_us: null, source: "not known: Operation not permitted" }, unknown, "good", `● ${recorded}`, [],
      "not known not known: Operation not permitted", "not known "],
    [{ synchronised: false, max_error_us: null }, fine, "look", `▲ Have a look. ${recorded}`,
      ["Nothing keeps this machine's clock in step, and every record is stamped by it."], "not synchronised ", "250 ms after the trade"],
    [{ steps: 2, last_step_at: "2026-11-20T10:00:30.000000+09:00", last_step_seconds: -3600 }, fine, "look", `▲ Have a look. ${recorded}`,
      ["This machine's clock was set 2 times since the start, last at 10:00:30."], "synchronised at most 1 ms off", "250 ms after the trade"],
    [{}, early, "act", "■ The clock is slow", both("1 h 0 min before they were traded: this machine's clock is slow, and all time stamps are wrong."),
      "synchronised at most 1 ms off", "1 h 0 min before the trade: early"],
    [{}, late, "act", "■ Records of KOSPI come 1 h 0 min late; Records of KOSDAQ come 1 h 0 min late",
      both("1 h 0 min after they were traded: this machine's clock is fast, or the feed is behind."), "synchronised at most 1 ms off", "1 h 0 min after the trade: late"],
  ]) {
    const { page, complaints, close } = await openOn(clocked(machine, shows));
    assert.equal(await page.textContent("#verdict"), words);
    assert.equal(await page.getAttribute("#verdict", "data-level"), level);
    assert.deepEqual(await page.$$eval("#worries li", (items) => items.map((item) => item.textContent)), texts);
    assert.equal((await page.textContent("#recorder [data-figure=machine_clock]")).trim(), machineClock.trim());
    assert.equal((await page.textContent("section[data-feed=KOSPI] [data-figure=clock]")).trim(), feedClock.trim());
    assert.deepEqual(complaints, []);
    await close();
  }
});

test("a full disk is the headline, whatever follows from it", async () => {
  for (const free of [0, 4096]) {
    const { page, close } = await openOn({ ...bad(), disk_free_bytes: free, disk_low: true });
    assert.equal(await page.textContent("#verdict"), "■ The disk is full; KOSDAQ is not recorded");
    assert.match((await page.$$eval("#worries li", (items) => items.map((item) => item.textContent)))[0], /^The disk is full: (0 B|4.1 kB) are free\./);
    await close();
  }
});

test("a figure is never broken in two", async () => {
  const reasons = { not_an_integer: 10, malformed_json: 12345, too_many_records: 7, overflow: 1 };
  const status = good();
  status.feeds.forEach((feed) => { feed.quarantined_by_reason = reasons; });
  for (const viewport of [DESKTOP, PHONE, { width: 320, height: 800 }]) {
    const { page, close } = await openOn(status, { viewport });
    const figures = await page.$$eval("[data-figure=quarantined] .piece", (pieces) => pieces.map((piece) => {
      const text = piece.firstChild, begin = text.data.lastIndexOf(" ") + 1;
      const range = document.createRange();
      range.setStart(text, begin);
      range.setEnd(text, text.length);
      return { text: text.data, lines: range.getClientRects().length };
    }));
    assert.equal(figures.length, 8);
    for (const { text, lines } of figures) assert.equal(lines, 1, `${text} at ${viewport.width}`);
    await close();
  }
});

test("words of a server stay words", async () => {
  const { page, complaints, close } = await openOn(hostile());
  assert.equal(await page.locator("img, section script").count(), 0);
  assert.match(await page.textContent(".problem"), /<img src=x onerror/);
  assert.notEqual(await page.title(), "broken");
  assert.deepEqual(complaints, []);
  // Hundreds of gaps are a band of pixels and a table of twelve.
  const feed = await shown(page, "KOSPI");
  assert.ok(feed.gaps > 600 && feed.bands < 700, `${feed.gaps} ${feed.bands}`);
  assert.equal(feed.gapRows.length, 13);
  assert.match(feed.gapRows[12].join(" "), /\d+ more: krx-recorder coverage shows them/);
  await close();
});

test("it can be read on every screen, in light and dark, and by those who do not see it", async () => {
  for (const [day, status] of [["good", good()], ["issues", issues({ active: 199, refused: 1, troubled: [troubled("tick10", "999999", "refused", "error 10040")] })], ["bad", bad()], ["closed", closed()], ["hostile", hostile()]]) {
    for (const colorScheme of ["light", "dark"]) {
      for (const [screen, viewport] of [["desktop", DESKTOP], ["phone", PHONE]]) {
        const name = `${day}-${colorScheme}-${screen}`;
        const { page, close } = await openOn(status, { viewport, colorScheme, deviceScaleFactor: screen === "phone" ? 2 : 1 });
        await shoot(page, name);
        const found = await page.evaluate(readability);
        assert.deepEqual(found, { dim: [], wider: 0, headings: ["H1", "H2", "H2", "H2", "H2"], unlabelled: 0, bareTables: 0 }, name);
        await close();
      }
    }
  }
});
