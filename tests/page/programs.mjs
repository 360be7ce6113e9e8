// The recorder and the simulator as child processes, each ended by its own number.

import { spawn, execFile } from "node:child_process";
import { createServer } from "node:net";
import { once } from "node:events";
import { openSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";

const PROGRAMS = process.env.KRX_PROGRAMS ?? path.resolve(import.meta.dirname, "../../target/release");
const KEY = "qzx-api-key-of-the-page-test-5508";

/** Ends a child, and waits until it has. */
async function end(child, signal) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill(signal);
  await gone;
}

export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/** Polls until `look` gives something. */
export async function until(what, look, seconds = 60) {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`after ${seconds} s still waiting until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** A simulated exchange with its ledger in `folder`. */
export async function startSimulator(folder, options) {
  const ledger = path.join(folder, "ledger.jsonl");
  const events = path.join(folder, "events.jsonl");
  const child = spawn(
    path.join(PROGRAMS, "krx-simulator"),
    ["--listen", "127.0.0.1:0", "--json", "--ledger", ledger, ...options],
    { stdio: ["ignore", openSync(events, "w"), "inherit"] },
  );
  const told = () => readFileSync(events, "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line));
  const listening = await until("the simulator listens", () => told().find(({ event }) => event === "listening"));
  return { url: listening.url, ledger, told, stop: () => end(child, "SIGTERM"), kill: () => end(child, "SIGKILL") };
}

/** A recorder at all times of what is at `url`, with a status port; `feeds` are tables of the configuration. */
export async function startRecorder(folder, url, feeds = "") {
  const port = await freePort();
  const config = path.join(folder, "krx-recorder.toml");
  const log = path.join(folder, "recorder.log");
  writeFileSync(config, `
data_dir = "${folder}/data"
[koscom]
base_url = "${url}"
member_name = "Page test"
[schedule]
mode = "always"
[connection]
heartbeat_interval = "60s"
stall_timeout = "120s"
[rotate]
interval = "5s"
[disk]
warn_free_bytes = 1048576
[status]
listen = "127.0.0.1:${port}"
${feeds}`);
  const program = path.join(PROGRAMS, "krx-recorder");
  const output = openSync(log, "w");
  const child = spawn(program, ["run", "--config", config], {
    stdio: ["ignore", output, output],
    env: { PATH: process.env.PATH, KRX_API_KEY: KEY },
  });
  const status = async () => (await fetch(`http://127.0.0.1:${port}/status.json`)).json();
  await until("the recorder answers", () => {
    if (child.exitCode !== null) throw new Error(readFileSync(log, "utf8"));
    return status().catch(() => null);
  });
  const coverage = async () => {
    const { stdout } = await promisify(execFile)(program, ["coverage", "--config", config, "--json"], { maxBuffer: 1 << 26 });
    return JSON.parse(stdout);
  };
  return {
    address: `http://127.0.0.1:${port}`,
    status,
    coverage,
    stop: () => end(child, "SIGTERM"),
    kill: () => end(child, "SIGKILL"),
  };
}

/** The report of a date that a recorder in `folder` has recorded, as a file; KRX is open all day. */
export async function runReport(folder, date) {
  const file = path.join(folder, `report-${date}.html`);
  const calendar = path.join(folder, "calendar.toml"), config = path.join(folder, "report.toml");
  writeFileSync(calendar, `[[day]]\ndate = "${date}"\ntrading = true\nopen = "00:00"\nclose = "23:59"\n`);
  writeFileSync(config, `data_dir = "${folder}/data"\n[schedule]\ncalendar_file = "${calendar}"\n`);
  await promisify(execFile)(path.join(PROGRAMS, "krx-recorder"), ["report", date, "--config", config, "--output", file]);
  return { date, file };
}

/** What a simulator has sent until an instant, by market: texts, and records of those that are data. */
export function sentBy(ledger, untilUs) {
  const sent = {};
  for (const line of readFileSync(ledger, "utf8").split("\n").filter(Boolean)) {
    const { market, session, kind, records, sent_us: sentUs } = JSON.parse(line);
    if (session === 0 || kind === "partial" || sentUs > untilUs) continue;
    const sum = (sent[market] ??= { frames: 0, records: 0, others: 0 });
    sum.frames += 1;
    if (kind === "data") sum.records += records;
    // Its good records are counted, and the bad one beside them is not.
    if (kind === "garbage") sum.others += records + 1;
  }
  return sent;
}
