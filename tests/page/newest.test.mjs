// The newest records of an issue, live in a browser: what is shown is what the files get, it comes without asking again,
// and a page that is not looked at asks for nothing.

import assert from "node:assert/strict";
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";

import { chromium } from "playwright-core";

import { DESKTOP, FLAGS, PHONE, SHOTS, readability } from "./reading.mjs";
import { startRecorder, startSimulator, until } from "./programs.mjs";

const FEEDS = `
[[feed]]
market = "KOSPI"
path = "/ws_ksp"
[[feed]]
name = "ISSUES"
service = "per_issue"
path = "/ws/"
[[feed.register]]
presets = ["tick10", "quote10"]
codes = ["005930", "000660"]
`;

let folder, browser, simulator, recorder;

before(async () => {
  mkdirSync(SHOTS, { recursive: true });
  folder = mkdtempSync(path.join(tmpdir(), "krx-page-"));
  const listed = path.join(folder, "issues.csv");
  writeFileSync(listed, "code,market,base_price\n005930,KOSPI,71500\n000660,KOSPI,181000\n00088K,KOSPI,1250\n");
  simulator = await startSimulator(folder, ["--issues", listed, "--trades-per-day", "200000", "--rate", "50", "--per-issue-rate", "100", "--repeat"]);
  recorder = await startRecorder(folder, simulator.url, FEEDS);
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: FLAGS });
});

after(async () => {
  await browser?.close();
  await recorder?.kill();
  await simulator?.kill();
  if (folder) rmSync(folder, { recursive: true, force: true });
});

const rowsOf = (page) => page.$$eval("#newest tbody tr", (rows) => rows.map((row) => [...row.cells].map((cell) => cell.textContent)));
const says = (page) => page.textContent("#newest output");

async function ask(page, source, code) {
  await page.selectOption("#newest select", source);
  await page.fill("#newest input", code);
  await page.click("#newest button");
}

test("the newest records of an issue are shown as they come", async () => {
  const context = await browser.newContext({ viewport: DESKTOP });
  const page = await context.newPage();
  const asked = [], complaints = [];
  context.on("request", (request) => request.url().includes("/tail/") && asked.push(request.url()));
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.goto(recorder.address);
  await page.waitForSelector("#newest:not([hidden])");
  assert.deepEqual(asked, [], "nothing is asked for before somebody wants it");
  const options = await page.$$eval("#newest option", (all) => all.map((option) => option.value));
  assert.deepEqual(options.slice(0, 3), ["KOSPI trades", "ISSUES ticks", "ISSUES quotes"]);

  await ask(page, "KOSPI trades", "005930");
  const first = await until("trades are shown", async () => { const rows = await rowsOf(page); return rows.length > 2 && rows; });
  assert.deepEqual(await page.$$eval("#newest th", (all) => all.map((cell) => cell.textContent)), ["received", "trade time", "price", "volume", "kind"]);
  for (const row of first) {
    assert.match(row[0], /^\d\d:\d\d:\d\d\.\d{3}$/);
    assert.match(row[1], /^\d\d:\d\d:\d\d\.\d{3}$/);
    assert.match(row[2], /^\d{1,3}(,\d{3})+$/);
  }
  assert.deepEqual(first.map((row) => row[0]), first.map((row) => row[0]).sort().reverse(), "newest first");
  await until("newer ones come", async () => (await rowsOf(page))[0][0] > first[0][0]);
  await until("no more are kept than are shown", async () => (await rowsOf(page)).length === 15);
  assert.match(await says(page), /^005930: live\.$/);
  assert.equal(asked.length, 1, "by the same request");
  const shown = await rowsOf(page);

  // What was shown is what the journal has.
  const answer = await fetch(`${recorder.address}/tail/trades.ndjson?feed=KOSPI&code=005930&after=0`);
  const sent = new Set((await answer.text()).split("\n").filter(Boolean).map(JSON.parse).map((row) => `${row.recv_ts.slice(11, 23)} ${row.price.toLocaleString("en-US")}`));
  for (const row of shown) assert.ok(sent.has(`${row[0]} ${row[2]}`), `${row} was received`);

  await ask(page, "ISSUES books", "000660");
  await until("books are shown", async () => (await rowsOf(page)).length > 2 && (await page.textContent("#newest thead")).includes("bid price"));
  await page.screenshot({ path: path.join(SHOTS, "newest.png"), fullPage: true });

  // Of an issue that is not there, nothing comes, and it is said.
  await ask(page, "KOSPI trades", "999999");
  await until("that is said", async () => (await says(page)) === "999999: nothing yet since the last file was committed.");
  assert.deepEqual(await rowsOf(page), []);
  assert.deepEqual(complaints, []);
  await context.close();
});

test("it says when there is no place, and goes on when there is", async () => {
  const context = await browser.newContext({ viewport: PHONE });
  const page = await context.newPage();
  await page.goto(recorder.address);
  await page.waitForSelector("#newest:not([hidden])");
  const full = { status: 503, body: "There are as many tails as there may be at a time: ask again when one has ended.\n" };
  await page.route("**/tail/**", (route) => route.fulfill(full));
  await ask(page, "ISSUES ticks", "005930");
  await until("it is said", async () => (await says(page)) === full.body.trim());
  await page.unroute("**/tail/**");
  await until("ticks are shown", async () => (await rowsOf(page)).length > 2);
  const { dim, wider, unlabelled, bareTables } = await page.evaluate(readability);
  assert.deepEqual({ dim, wider, unlabelled, bareTables }, { dim: [], wider: 0, unlabelled: 0, bareTables: 0 });
  await page.screenshot({ path: path.join(SHOTS, "newest-phone.png"), fullPage: true });
  await recorder.stop();
  await until("it says that nobody answers", async () => (await says(page)) === "The recorder does not answer; asking again.");
  await context.close();
});
