// The report of a day in a browser, as a file: it asks nobody for anything, has the figures of the coverage, and can be
// read on every screen and on paper. Screenshots are left in target/page.

import assert from "node:assert/strict";
import { mkdtempSync, mkdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { after, before, test } from "node:test";

import { chromium } from "playwright-core";

import { FLAGS, DESKTOP, PHONE, SHOTS, readability } from "./reading.mjs";
import { runReport, startRecorder, startSimulator, until } from "./programs.mjs";

const CODES = ["370710", "594460", "379960", "026715", "600460"];
const FEEDS = `
[[feed]]
market = "KOSPI"
path = "/ws_ksp"
[[feed]]
market = "KOSDAQ"
path = "/ws_kdq"
[[feed]]
name = "ISSUES"
service = "per_issue"
path = "/ws/"
[[feed.register]]
presets = ["tick10", "quote10"]
codes = ${JSON.stringify(CODES)}
[[feed.register]]
presets = ["quote"]
codes = ["999999"]
`;

let folder, browser, simulator, recorder, page, day, coverage;

before(async () => {
  mkdirSync(SHOTS, { recursive: true });
  folder = mkdtempSync(path.join(tmpdir(), "krx-report-"));
  simulator = await startSimulator(folder, ["--speed", "max", "--trades-per-day", "120000",
    "--fault", "disconnect@1000,market=KOSPI", "--fault", "close@3000:1011,market=KOSDAQ", "--fault", "garbage@every:60:badrecord",
    "--fault", "garbage@every:170:text"]);
  recorder = await startRecorder(folder, simulator.url, FEEDS);
  await until("the day is over", () => simulator.told().filter(({ event }) => event === "day_complete").length === 3, 120);
  await simulator.stop();
  await recorder.stop();
  coverage = await recorder.coverage();
  day = await runReport(folder, coverage[0].date);
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: FLAGS });
});

after(async () => {
  await browser?.close();
  await recorder?.kill();
  await simulator?.kill();
  if (folder) rmSync(folder, { recursive: true, force: true });
});

/** The file as a person opens it, with every request beside that for the file itself refused. */
async function open(options = {}) {
  const context = await browser.newContext({ viewport: DESKTOP, ...options });
  const page = await context.newPage();
  const own = pathToFileURL(day.file).href;
  const asked = [], complaints = [];
  await page.route("**", (route) => (route.request().url() === own ? route.continue() : route.abort()));
  context.on("request", (request) => request.url() !== own && asked.push(request.url()));
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.goto(own);
  return { page, asked, complaints, close: () => context.close() };
}

test("it asks nobody, and has the figures of the coverage, without a script", async () => {
  const { page, asked, complaints, close } = await open({ javaScriptEnabled: false });
  const text = (selector) => page.locator(selector).innerText();
  for (const market of ["KOSPI", "KOSDAQ"]) {
    const rows = coverage.filter((row) => row.feed === market);
    const sum = (key) => rows.reduce((total, row) => total + row[key], 0);
    const gaps = rows.filter(({ state }) => state === "gap");
    const number = async (name) => Number((await text(`#glance [data-market=${market}] [data-figure=${name}] .big`)).replaceAll(",", ""));
    assert.equal(await number("messages"), sum("frames"), market);
    assert.equal(await number("records") + await number("quarantined"), sum("rows"), market);
    assert.equal(await number("gaps"), gaps.length, market);
    const table = page.locator(`section.day[data-market=${market}] > .table tbody tr`);
    assert.equal(await table.count(), gaps.length);
    const reasons = await table.locator("td:last-child").allInnerTexts();
    assert.deepEqual(reasons.map((text) => text.split(/\s/)[0]), gaps.map(({ reason }) => reason), market);
  }
  assert.equal(await page.locator("#volume").getAttribute("data-verdict"), "traded");
  assert.deepEqual([asked, complaints], [[], []]);
  assert.ok(statSync(day.file).size < 2_000_000);
  await close();
});

test("of registered issues it has what was asked for, and what came of it", async () => {
  const { page, close } = await open({ javaScriptEnabled: false });
  const text = (selector) => page.locator(selector).innerText();
  assert.match(await text("#glance [data-market=ISSUES] [data-figure=registrations]"), /^11\s+10 were active, 1 refused$/);
  const rows = coverage.filter((row) => row.feed === "ISSUES");
  const shown = async (name) => Number((await text(`#glance [data-market=ISSUES] [data-figure=${name}] .big`)).replaceAll(",", ""));
  assert.equal(await shown("records") + await shown("quarantined"), rows.reduce((total, row) => total + row.rows, 0));
  assert.match(await text("#registrations"), /quote\s+999999\s+refused/);
  assert.match(await text("#shares .answer"), /^Of the shares traded in 5 stocks, the recorded ticks have .* %\. Of the shares traded in 5 stocks, the full-market feeds show /);
  assert.match(await text("#spreads caption >> nth=0"), /^Time of all issues by spread$/);
  assert.match(await text("#worries"), /ISSUES: 1 registration was refused: quote:999999\./);
  await close();
});

test("each chart has axes, units, a sentence for those who do not see it, and a table", async () => {
  const { page, close } = await open();
  const charts = await page.$$eval("svg", (all) => all.filter((chart) => chart.checkVisibility()).map((chart) => ({
    label: chart.getAttribute("aria-label"), texts: [...chart.querySelectorAll("text")].map((text) => text.textContent),
    titles: chart.querySelectorAll("title").length, tables: chart.closest("section").querySelectorAll("table").length,
  })));
  assert.ok(charts.length >= 12, `${charts.length} charts`);
  for (const { label, texts, titles, tables } of charts) {
    assert.ok(label.length > 20, label);
    assert.ok(texts.length >= 4 && titles >= 1 && tables >= 1, `${label}: ${texts}`);
  }
  for (const { label, texts } of charts.filter((chart) => chart.label.startsWith("Records and messages"))) {
    assert.ok(texts.includes("KST") && texts.includes("records a minute") && texts.some((text) => /^\d\d:\d\d$/.test(text)), label);
  }
  await close();
});

test("it can be read on every screen, in light and dark, on paper, and by those who do not see it", async () => {
  for (const colorScheme of ["light", "dark"]) {
    for (const [screen, viewport] of [["desktop", DESKTOP], ["tablet", { width: 800, height: 1100 }], ["phone", PHONE]]) {
      const name = `report-${colorScheme}-${screen}`;
      const { page, close } = await open({ viewport, colorScheme, deviceScaleFactor: screen === "phone" ? 2 : 1 });
      await page.screenshot({ path: path.join(SHOTS, `${name}.png`), fullPage: true });
      const found = await page.evaluate(readability);
      const headings = found.headings.filter((heading) => heading !== "H3");
      assert.deepEqual({ ...found, headings: undefined }, { dim: [], wider: 0, headings: undefined, unlabelled: 0, bareTables: 0 }, name);
      assert.deepEqual([headings[0], headings.filter((heading) => heading === "H1").length], ["H1", 1], name);
      // Letters in a chart are scaled with it.
      const small = await page.$$eval("svg", (all) => all.filter((chart) => chart.checkVisibility())
        .map((chart) => 12 * chart.getBoundingClientRect().width / chart.viewBox.baseVal.width).filter((size) => size < 8.5));
      assert.deepEqual(small, [], name);
      await close();
    }
  }
  const { page, close } = await open({ colorScheme: "dark" });
  await page.pdf({ path: path.join(SHOTS, "report.pdf"), format: "A4", margin: { top: "12mm", bottom: "12mm", left: "12mm", right: "12mm" } });
  await page.emulateMedia({ media: "print" });
  await page.setViewportSize({ width: 700, height: 1000 });
  await page.screenshot({ path: path.join(SHOTS, "report-print.png"), fullPage: true });
  assert.deepEqual((await page.evaluate(readability)).dim, [], "on paper");
  await close();
});
