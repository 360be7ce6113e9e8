"use strict";
// The newest records of an issue, live: lines of JSON from /tail, for as long as the page is in sight.
(() => {
  const ROWS_SHOWN = 15;
  const AGAIN_MS = 3000;
  const DATASETS = {
    full_market: ["trades"],
    per_issue: ["ticks", "quotes", "books", "indices", "derivative_ticks", "derivative_quotes", "derivative_books", "changes"],
  };
  const TICK = ["trade_time", "price", "volume", "kind"];
  const QUOTE = ["bid_size", "bid_price", "ask_price", "ask_size", "kind"];
  const BOOK = ["bid_size_01", "bid_price_01", "ask_price_01", "ask_size_01", "kind"];
  const COLUMNS = {
    trades: TICK, ticks: TICK, derivative_ticks: TICK, quotes: QUOTE, derivative_quotes: QUOTE, books: BOOK, derivative_books: BOOK,
    indices: ["trade_time", "value", "change", "change_kind"], changes: ["field", "value"],
  };
  const form = document.querySelector("#newest");
  const table = form.querySelector("table");
  const output = form.querySelector("output");
  const { source, code } = form.elements;
  let reading = null;
  let again = 0;
  let rows = [];

  /** Times of day are sent as HHMMSSmmm, without zeros before. */
  function cell(name, value) {
    if (value === null || value === undefined) return "";
    if (name === "recv_ts") return value.slice(11, 23);
    if (name === "trade_time") return String(value).padStart(9, "0").replace(/^(..)(..)(..)(...)$/, "$1:$2:$3.$4");
    return typeof value === "number" ? value.toLocaleString("en-US", { maximumFractionDigits: 6 }) : String(value);
  }

  const columns = () => ["recv_ts", ...COLUMNS[source.value.split(" ")[1]]];
  const isNumber = (name) => !["recv_ts", "trade_time", "kind", "change_kind", "field"].includes(name);

  function draw() {
    const line = (tag, texts, of) => {
      const row = document.createElement("tr");
      row.append(...texts.map((text, index) => {
        const element = document.createElement(tag);
        element.textContent = text;
        if (tag === "th") element.scope = "col";
        if (isNumber(of[index])) element.className = "number";
        return element;
      }));
      return row;
    };
    const names = columns();
    const titles = names.map((name) => (name === "recv_ts" ? "received" : name.replace("_01", "").replaceAll("_", " ")));
    table.tHead.replaceChildren(line("th", titles, names));
    table.tBodies[0].replaceChildren(...rows.map((row) => line("td", names.map((name) => cell(name, row[name])), names)));
    table.hidden = rows.length === 0;
  }

  function say(text) {
    if (output.textContent !== text) output.textContent = text;
  }

  function stop() {
    clearTimeout(again);
    reading?.abort();
    reading = null;
  }

  /** Reads until there is no more, or something else is wanted. */
  async function read() {
    stop();
    const mine = reading = new AbortController();
    const [feed, dataset] = source.value.split(" ");
    const issue = code.value.trim().toUpperCase();
    const query = new URLSearchParams({ feed, code: issue, follow: "true" });
    try {
      const answer = await fetch(`/tail/${dataset}.ndjson?${query}`, { cache: "no-store", signal: mine.signal });
      if (!answer.ok) throw new Error((await answer.text()).trim() || `HTTP ${answer.status}`);
      rows = [];
      draw();
      say(`${issue}: nothing yet since the last file was committed.`);
      const lines = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (let next = await lines.read(); !next.done; next = await lines.read()) {
        const parts = (rest + next.value).split("\n");
        rest = parts.pop();
        // Of a burst, only what will be shown.
        rows = [...parts.filter((text) => text !== "").slice(-ROWS_SHOWN).reverse().map(JSON.parse), ...rows].slice(0, ROWS_SHOWN);
        draw();
        if (rows.length) say(`${issue}: live.`);
      }
      if (mine === reading) say(`${issue}: the recorder has ended this; asking again.`);
    } catch (error) {
      if (mine !== reading) return;
      say(error.name === "TypeError" ? "The recorder does not answer; asking again." : error.message);
    }
    if (mine === reading) again = setTimeout(read, AGAIN_MS);
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (code.value.trim() !== "") read();
  });
  source.addEventListener("change", () => { if (reading) form.requestSubmit(); });
  // Nobody looks at a page that is hidden: then it costs nothing.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden && reading) { stop(); form.dataset.paused = "yes"; }
    else if (!document.hidden && form.dataset.paused) { delete form.dataset.paused; read(); }
  });
  document.addEventListener("status", ({ detail: status }) => {
    const wanted = status.feeds.flatMap(({ feed, service }) => (DATASETS[service] ?? []).map((dataset) => `${feed} ${dataset}`));
    if (wanted.join() === [...source.options].map((option) => option.value).join()) return;
    const before = source.value;
    source.replaceChildren(...wanted.map((value) => new Option(value.replace(" ", ": "), value)));
    if (wanted.includes(before)) source.value = before;
    form.hidden = wanted.length === 0;
  });
})();
