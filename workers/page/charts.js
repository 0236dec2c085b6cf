// The three charts: options for ECharts made from the buckets on view.

import { el, swatch } from "./dom.js";
import { clock, dayMonth, emotionName, languageName, moment, number, percent, platformName, signed, t } from "./i18n.js";
import { EMOTIONS, SILENT, countOf, leading } from "./series.js";

const MOST_PARTS = 4;
const MARK_Z = 10;
const DAY = 86400;

const property = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** A chart in an element; it follows the element's size. */
export class Chart {
  constructor(element) {
    this.element = element;
    this.chart = window.echarts.init(element, null, { renderer: "canvas" });
    new ResizeObserver(() => this.chart.resize()).observe(element);
  }

  show(option, label) {
    this.chart.setOption(option, { replaceMerge: ["series"], lazyUpdate: true });
    this.element.setAttribute("aria-label", label);
  }

  onSeries(callback) {
    this.chart.on("click", (event) => callback(event.seriesId));
  }
}

/** Emotions stacked over time. */
export function emotionOption(series, mode) {
  const starts = series.starts();
  const option = {
    ...frame(series, mode, series.step / 2, mode === "shares" ? 1 : undefined, (counts) => [
      ...rows(EMOTIONS, counts.emotions, counts.posts, emotionName),
      ...silentRows(counts),
    ]),
    series: EMOTIONS.map((emotion) => ({
      id: emotion,
      type: "line",
      stack: "emotions",
      symbol: "none",
      triggerLineEvent: true,
      color: property(emotion),
      lineStyle: { width: 0.5, color: property("paper") },
      areaStyle: { opacity: 1 },
      emphasis: { focus: "series" },
      blur: { areaStyle: { opacity: 0.35 } },
      data: starts.map((start) => [middle(series, start), height(series.buckets.get(start), "emotions", emotion, mode)]),
    })),
  };
  return fading(option, series);
}

/** Positive posts upwards, negative ones downwards, and the balance of the two as a line. */
export function polarityOption(series, mode) {
  const starts = series.starts();
  const bars = ["positive", "negative"].map((polarity) => ({
    id: polarity,
    type: "bar",
    stack: "polarity",
    color: property(polarity),
    barCategoryGap: "12%",
    data: starts.map((start) => {
      const value = height(series.buckets.get(start), "polarity", polarity, mode);
      return [middle(series, start), value && polarity === "negative" ? -value : value];
    }),
  }));
  const balance = starts.map((_, index) => {
    const [up, down] = bars.map((bar) => bar.data[index][1]);
    return [middle(series, starts[index]), up === null ? null : up + down];
  });
  const limit = Math.ceil(4 * Math.max(0.25, ...bars.flatMap((bar) => bar.data.map(([, value]) => Math.abs(value ?? 0))))) / 4;
  const line = { id: "balance", type: "line", symbol: "none", color: property("ink"), lineStyle: { width: 1.25 }, data: balance };
  const option = {
    ...frame(series, mode, 0, mode === "shares" ? limit : undefined, (counts) => [
      ...rows(["positive", "neutral", "negative"], counts.polarity, counts.posts, (name) => t(`polarity.${name}`)),
      ...silentRows(counts),
      el("tr", {}, el("th", { scope: "row" }, t("figure.sentiment")), el("td", {}), el("td", {}, signed(counts.sentiment))),
    ]),
    series: [...bars, line],
  };
  return fading(option, series);
}

/** Posts over time by platform or by language: the largest few and the others. */
export function volumeOption(series, by, parts) {
  const starts = series.starts();
  const counted = (counts, part) => part.members.reduce((sum, name) => sum + countOf(counts, by, name), 0);
  const option = {
    ...frame(series, "counts", 0, undefined, (counts) =>
      parts.map((part, index) => row(`volume-${index}`, part.name, counted(counts, part), counts.posts))),
    series: parts.map((part, index) => ({
      id: `part-${index}`,
      type: "bar",
      stack: "volume",
      color: property(`volume-${index}`),
      barCategoryGap: "12%",
      data: starts.map((start) => [middle(series, start), counted(series.buckets.get(start), part)]),
    })),
  };
  return fading(option, series);
}

/** The parts that volume is shown by: names with their members and posts, the largest first. */
export function volumeParts(sum, by) {
  const { names, rest } = leading(sum[by], MOST_PARTS);
  if (rest.length) rest.unshift(names.pop());
  const nameOf = by === "languages" ? languageName : platformName;
  const parts = names.map((name) => ({ name: nameOf(name), members: [name], posts: sum[by][name] }));
  if (rest.length) {
    const posts = rest.reduce((total, name) => total + sum[by][name], 0);
    parts.push({ name: t("volume.other"), members: rest, posts });
  }
  return parts;
}

/** The newest bucket is still filling: it is drawn paler, lest it look like a fall. */
function fading(option, series) {
  const last = option.series.at(-1);
  if (!last) return option;
  last.markArea = {
    silent: true,
    z: MARK_Z,
    itemStyle: { color: property("paper"), opacity: 0.55 },
    data: [[{ xAxis: (series.end - series.step) * 1000 }, { xAxis: series.end * 1000 }]],
  };
  return option;
}

/** Null where a share has no posts to be a share of: a gap, not a zero. */
function height(counts, group, name, mode) {
  const posts = countOf(counts, group, name);
  if (mode === "counts") return posts;
  return counts ? posts / counts.posts : null;
}

function row(color, name, posts, of) {
  return el("tr", {},
    el("th", { scope: "row" }, swatch(color), name),
    el("td", {}, number(posts)),
    el("td", {}, percent(posts, of)));
}

/** Posts without an emotion are not drawn: in shares they are what is left up to 100%. */
const silentRows = (counts) =>
  SILENT.filter((name) => counts[name]).map((name) => row("rule", t(`silent.${name}`), counts[name], counts.posts));

const rows = (names, counts, of, nameOf) => names.map((name) => row(name, nameOf(name), counts[name] ?? 0, of));

/** A bucket is drawn at its middle, in milliseconds. */
const middle = (series, start) => (start + series.step / 2) * 1000;

/**
 * Axes, grid and tooltip. `margin` in seconds is left off at both ends, where areas have none;
 * `limit` is the end of the axis of values, where it is not left to the data;
 * `inside` makes the rows of the tooltip from the counts of a bucket.
 */
function frame(series, mode, margin, limit, inside) {
  const muted = property("muted");
  const label = { color: muted, fontSize: 11, fontFamily: getComputedStyle(document.body).fontFamily };
  const long = series.end - series.start > 2 * DAY;
  return {
    animation: false,
    useUTC: true,
    textStyle: { fontFamily: label.fontFamily },
    grid: { left: 4, right: 8, top: 10, bottom: 4, containLabel: true },
    xAxis: {
      type: "time",
      min: (series.start + margin) * 1000,
      max: (series.end - margin) * 1000,
      axisLine: { lineStyle: { color: property("rule") } },
      axisTick: { lineStyle: { color: property("rule") } },
      axisLabel: {
        ...label,
        hideOverlap: true,
        formatter: (ms) => (long || (ms / 1000) % DAY === 0 ? dayMonth(ms / 1000) : clock(ms / 1000)),
      },
      splitLine: { show: false },
    },
    yAxis: {
      type: "value",
      minInterval: mode === "counts" ? 1 : undefined,
      max: limit,
      min: limit && margin === 0 ? -limit : undefined,
      interval: mode === "shares" ? 0.25 : undefined,
      splitNumber: 4,
      axisLabel: {
        ...label,
        formatter: (value) => (mode === "shares" ? percent(Math.abs(value), 1) : number(Math.abs(value))),
      },
      splitLine: { lineStyle: { color: property("rule") } },
    },
    tooltip: {
      trigger: "axis",
      confine: true,
      className: "tooltip",
      transitionDuration: 0,
      backgroundColor: property("raised"),
      borderColor: property("rule"),
      padding: [8, 10],
      axisPointer: { type: "line", lineStyle: { color: muted, width: 1, type: "solid" } },
      formatter: (points) => tooltip(series, Math.round(points[0].axisValue / 1000 - series.step / 2), inside),
    },
  };
}

function tooltip(series, start, inside) {
  const counts = series.buckets.get(start);
  const end = start + series.step;
  const title = series.step >= DAY ? dayMonth(start) : `${moment(start)} – ${clock(end)}`;
  return el("div", {},
    el("p", { class: "tooltip-title" }, title),
    el("p", { class: "tooltip-posts" }, `${number(counts?.posts ?? 0)} ${t("tooltip.posts")}`),
    el("table", {}, el("tbody", {}, ...(counts ? inside(counts) : []))));
}
