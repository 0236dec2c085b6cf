// The buckets on view: what the stream sent, as a window of event time. No DOM here.

export const EMOTIONS = ["joy", "surprise", "neutral", "sadness", "fear", "disgust", "anger"];
export const POLARITIES = ["positive", "neutral", "negative"];
export const SILENT = ["abstained", "unread"];
const GROUPS = ["emotions", "polarity", "platforms", "languages"];

const MINUTE = 60;
const WIDTHS = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440].map((minutes) => minutes * MINUTE);

/** Buckets by start, within a window that moves with the newest event. */
export class Series {
  constructor({ step, from, to, buckets }) {
    this.step = step;
    this.start = from;
    this.end = to;
    this.span = to - from;
    this.buckets = new Map(buckets.map((bucket) => [bucket.start, bucket.counts]));
  }

  /** Put in the present values of some buckets; those that left the window are dropped. */
  apply(delta, sliding) {
    const newest = Math.floor((delta.freshness.last_event_ms ?? 0) / 1000);
    const end = (Math.floor(newest / this.step) + 1) * this.step;
    if (end > this.end) {
      this.end = end;
      if (sliding) this.start = end - this.span;
    }
    for (const bucket of delta.buckets) {
      if (bucket.counts.posts) this.buckets.set(bucket.start, bucket.counts);
      else this.buckets.delete(bucket.start);
    }
    for (const start of this.buckets.keys()) {
      if (start < this.start) this.buckets.delete(start);
    }
  }

  /** Starts of every bucket of the window, empty ones too. */
  starts() {
    const count = Math.max(0, Math.round((this.end - this.start) / this.step));
    return Array.from({ length: count }, (_, index) => this.start + index * this.step);
  }

  /** The counts of the whole window. */
  sum() {
    return add([...this.buckets.values()]);
  }

  /**
   * The same in buckets wide enough to read: `enough` posts in a bucket on average, but no fewer
   * than `points` buckets. A share of three posts is no news, and a line through ones and twos none.
   */
  readable(enough, points) {
    const span = this.end - this.start;
    const wanted = (enough * span) / Math.max(1, this.sum().posts);
    const widths = WIDTHS.filter((width) => width % this.step === 0 && width <= span / points);
    return this.#inSteps(widths.find((width) => width >= wanted) ?? widths.at(-1) ?? this.step);
  }

  #inSteps(step) {
    if (step === this.step) return this;
    const groups = new Map();
    for (const [start, counts] of this.buckets) {
      const at = start - (start % step);
      if (!groups.has(at)) groups.set(at, []);
      groups.get(at).push(counts);
    }
    return new Series({
      step,
      from: this.start - (this.start % step),
      to: Math.ceil(this.end / step) * step,
      buckets: [...groups].map(([start, counts]) => ({ start, counts: add(counts) })),
    });
  }

  /** The bucket with most posts, as [start, posts], or null. */
  peak() {
    let peak = null;
    for (const [start, counts] of this.buckets) {
      if (!peak || counts.posts > peak[1]) peak = [start, counts.posts];
    }
    return peak;
  }
}

/** Posts of one name in a group of counts; names come from outside, "constructor" is one too. */
export function countOf(counts, group, name) {
  return counts && Object.hasOwn(counts[group], name) ? counts[group][name] : 0;
}

/** Posts that have an emotion: the model was sure enough, and there was something to read. */
export function withEmotion(counts) {
  return SILENT.reduce((posts, name) => posts - counts[name], counts.posts);
}

/** The names of a group by falling count: the first few, and whether others remain. */
export function leading(counts, most) {
  const names = Object.keys(counts).sort((a, b) => counts[b] - counts[a] || (a < b ? -1 : 1));
  return { names: names.slice(0, most), rest: names.slice(most) };
}

function add(all) {
  const sum = { posts: 0, late: 0, abstained: 0, unread: 0, sentiment: 0 };
  for (const group of GROUPS) sum[group] = Object.create(null);
  for (const counts of all) {
    sum.posts += counts.posts;
    sum.late += counts.late;
    sum.abstained += counts.abstained;
    sum.unread += counts.unread;
    sum.sentiment += counts.sentiment * withEmotion(counts);
    for (const group of GROUPS) {
      for (const [name, posts] of Object.entries(counts[group])) {
        sum[group][name] = (sum[group][name] ?? 0) + posts;
      }
    }
  }
  const rated = withEmotion(sum);
  if (rated) sum.sentiment /= rated;
  return sum;
}
