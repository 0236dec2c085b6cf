// Headline, figures, breakdown and legends: what the page says in words and numbers.

import { el, setText, swatch } from "./dom.js";
import { clock, emotionName, fullMoment, moment, number, percent, signed, t } from "./i18n.js";
import { EMOTIONS, POLARITIES, SILENT, withEmotion } from "./series.js";

const THIN = 30;
const SILENT_SHARE = 1 / 3;

const byId = (id) => document.getElementById(id);

/** The sentence at the top, and which stretch of event time the page shows. */
export function showHeadline(view) {
  byId("headline").textContent = headline(view);
  const { range } = view;
  showSilence(view.sum);
  const period = byId("period");
  if (!view.totals.posts || !view.freshness.last_event_ms) {
    period.textContent = t("period.empty");
    return;
  }
  const values = {
    time: fullMoment(Math.floor(view.freshness.last_event_ms / 1000)),
    range: t(`range.${range}`),
  };
  const thin = view.sum.posts > 0 && view.sum.posts < THIN ? ` · ${t("period.thin")}` : "";
  period.textContent = t(range === "all" ? "period.all" : "period", values) + thin;
}

/** Where much of what is counted has no emotion, say so before any share is read. */
function showSilence(sum) {
  const node = byId("silence");
  const silent = sum.posts - withEmotion(sum);
  node.hidden = !(silent > SILENT_SHARE * sum.posts);
  setText(node, node.hidden ? "" : t("silence", {
    share: percent(silent, sum.posts),
    posts: number(sum.posts),
    unread: number(sum.unread),
    abstained: number(sum.abstained),
  }));
}

function headline({ sum, totals }) {
  if (!totals.posts) return t("headline.empty");
  if (!sum.posts) return t("headline.quiet");
  if (!withEmotion(sum)) return t("headline.silent", { posts: number(sum.posts) });
  const marked = EMOTIONS.filter((name) => name !== "neutral" && sum.emotions[name]);
  if (!marked.length) {
    const all = sum.emotions.neutral === sum.posts;
    return t(all ? "headline.neutral" : "headline.neutral.some", {
      posts: number(sum.posts),
      neutral: percent(sum.emotions.neutral, sum.posts),
    });
  }
  const first = marked.reduce((a, b) => (sum.emotions[b] > sum.emotions[a] ? b : a));
  return t("headline.leads", {
    emotion: emotionName(first),
    share: percent(sum.emotions[first], sum.posts),
    posts: number(sum.posts),
    neutral: percent(sum.emotions.neutral ?? 0, sum.posts),
  });
}

/** The row of figures. */
export function showFigures(view) {
  for (const [name, [value, note]] of Object.entries(figuresOf(view))) {
    const node = document.querySelector(`[data-figure="${name}"]`);
    setText(node.querySelector(".value"), value);
    setText(node.querySelector(".note"), note);
  }
  document.querySelector('[data-figure="delay"] .note').title = stages(view.lag);
  point(withEmotion(view.sum) ? view.sum.sentiment : null);
}

/** The records that wait in front of each stage. */
function stages(lag) {
  return Object.entries(lag ?? {}).map(([name, { records }]) => `${t(`stage.${name}`)} ${number(records)}`).join(" · ");
}

function figuresOf({ series, sum, totals, freshness, lag }) {
  const minutes = Math.max(1, (series.end - series.start) / 60);
  const peak = series.peak();
  const posts = number(sum.posts);
  const rated = withEmotion(sum);
  const delay = freshness.delay_seconds;
  return {
    posts: [posts, counted(totals)],
    rate: peak
      ? [number(sum.posts / minutes, 1),
        t("figure.rate.note", { peak: number((peak[1] * 60) / series.step, 1), time: moment(peak[0]) })]
      : ["–", "\u00a0"],
    sentiment: [rated ? signed(sum.sentiment) : "–", t("figure.sentiment.note", { posts: number(rated) })],
    delay: [delay === null ? "–" : t("unit.seconds", { seconds: number(delay, delay < 10 ? 1 : 0) }), waiting(lag)],
    late: [number(sum.late), t("figure.late.note", { share: percent(sum.late, sum.posts), posts })],
    duplicates: [number(freshness.duplicates), t("figure.duplicates.note")],
  };
}

function counted({ posts, shed }) {
  const name = shed ? "figure.posts.shed" : "figure.posts.note";
  return t(name, { posts: number(posts), shed: number(shed) });
}

/** Turn the vane, and set the mark on the line from -1 to 1; the number beside it says the same. */
function point(sentiment) {
  const meter = byId("meter");
  const value = Math.max(-1, Math.min(1, sentiment ?? 0));
  meter.dataset.side = sentiment === null ? "none" : value < 0 ? "negative" : "positive";
  meter.style.setProperty("--at", `${(value + 1) * 50}%`);
  meter.style.setProperty("--from", `${Math.min(50, (value + 1) * 50)}%`);
  meter.style.setProperty("--width", `${Math.abs(value) * 50}%`);
  byId("vane-arrow").setAttribute("transform", `rotate(${(value * -60).toFixed(1)} 16 11)`);
}

/** Records that wait in front of the stages, summed; null where the lag is not known. */
export function waitingRecords(lag) {
  return lag && Object.values(lag).reduce((sum, group) => sum + group.records, 0);
}

function waiting(lag) {
  const records = waitingRecords(lag);
  return records === null ? t("figure.delay.unknown") : t("figure.delay.note", { records: number(records) });
}

/** Share and count of each emotion, whose row chooses the posts below, and of posts without one. */
export function showBreakdown({ sum }, chosen, onChoose) {
  const list = byId("breakdown");
  const most = Math.max(1, ...EMOTIONS.map((name) => sum.emotions[name] ?? 0), ...SILENT.map((name) => sum[name]));
  if (!list.children.length) {
    list.append(...EMOTIONS.map((name) => breakdownRow(name, onChoose)), ...SILENT.map(silentRow));
  }
  EMOTIONS.forEach((name, index) => {
    const posts = sum.emotions[name] ?? 0;
    const button = list.children[index].firstChild;
    fillRow(button, emotionName(name), posts, most, sum.posts);
    button.setAttribute("aria-pressed", String(chosen === name));
  });
  SILENT.forEach((name, index) => {
    fillRow(list.children[EMOTIONS.length + index].firstChild, t(`silent.${name}`), sum[name], most, sum.posts);
  });
  setText(byId("breakdown-note"), t("breakdown.note", { posts: number(sum.posts) }));
}

function fillRow(row, name, posts, most, of) {
  const [label, bar, share, count] = row.children;
  setText(label.lastChild, name);
  bar.style.setProperty("--share", `${(100 * posts) / most}%`);
  setText(share, percent(posts, of));
  setText(count, number(posts));
}

function silentRow(name) {
  return el("li", { class: "silent", "data-silent": name }, el("div", { class: "row" }, ...cells("rule")));
}

function cells(colour) {
  const bar = el("span", { class: "bar" });
  bar.style.setProperty("--swatch", `var(--${colour})`);
  return [
    el("span", { class: "label" }, swatch(colour), el("span")),
    bar,
    el("span", { class: "share" }),
    el("span", { class: "count" }),
  ];
}

function breakdownRow(name, onChoose) {
  const button = el("button", { type: "button", value: name }, ...cells(name));
  button.addEventListener("click", () => onChoose(name));
  return el("li", {}, button);
}

/** The legend of the polarity chart, with shares and counts. */
export function showPolarityLegend({ sum }) {
  const parts = POLARITIES.map((name) => ({ name: t(`polarity.${name}`), color: name, posts: sum.polarity[name] ?? 0 }));
  showLegend(byId("polarity-legend"), parts, sum.posts);
}

/** A legend: swatch, name, share, count. */
export function showLegend(list, parts, of) {
  list.replaceChildren(...parts.map(({ name, color, posts }) => el("li", {},
    swatch(color), el("span", {}, name), el("b", {}, percent(posts, of)), el("span", { class: "n" }, number(posts)))));
}

/** Words for what a chart shows, for those who do not see it. */
export function chartLabel(key, view, values, parts) {
  const said = parts.map(({ name, posts }) => `${name} ${percent(posts, view.sum.posts)}`).join(", ");
  return t(key, {
    from: fullMoment(view.series.start),
    to: clock(view.series.end),
    ...values,
    emotions: said,
    polarities: said,
    parts: said,
  });
}
